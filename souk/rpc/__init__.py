"""Calls: a local call looks like a remote call."""
