"""Writes contracts as an OpenAPI document."""
