"""Analytics: figures about sales by day, counted from the events of orders. It calls no other service."""
