"""The catalogue and its search."""
