"""The souk command."""
