"""Accounts, addresses, and the rules of logins, tokens and keys. No I/O."""
