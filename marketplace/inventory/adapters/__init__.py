"""Adapters: the shortage hints in Redis."""
