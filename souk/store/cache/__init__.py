"""Reads, remembered."""
