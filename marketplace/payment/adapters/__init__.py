"""Adapters: the clients of the card provider, and a sandbox bank to develop and test with."""
