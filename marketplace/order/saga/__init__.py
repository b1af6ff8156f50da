"""The two sagas of an order: placing it, and cancelling it."""
