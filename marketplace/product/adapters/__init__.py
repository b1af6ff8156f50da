"""Adapters: the search engines."""
