"""The Inventory service: the authority on stock."""
