"""Consistent copies of a running system, and bringing them back."""
