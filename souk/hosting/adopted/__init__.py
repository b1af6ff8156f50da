"""Existing applications behind the gateway: `souk adopt`."""
