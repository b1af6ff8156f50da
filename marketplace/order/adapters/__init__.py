"""Translate between the order's own words and the contracts of the other services."""
