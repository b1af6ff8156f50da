"""The authority on stock."""
