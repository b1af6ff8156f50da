"""Calls inside one process."""
