"""Contracts as an OpenAPI document."""
