"""Identifies callers by their tokens, with the keys that verify them."""
