"""Puts services into processes."""
