"""Backup: makes consistent copies of a running system, checks them, and restores them."""
