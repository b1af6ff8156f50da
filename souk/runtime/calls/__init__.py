"""Calls between services: channels to them, registration in the registry, and metrics."""
