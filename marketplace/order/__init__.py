"""The way of an order from wish to door."""
