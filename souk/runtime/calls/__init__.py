"""Calls between services: channels to them, taking part in the registry, and figures."""
