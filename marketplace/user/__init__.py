"""Accounts, tokens and addresses."""
