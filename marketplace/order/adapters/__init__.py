"""Adapters: calls to the other services, in the words of Order's ports."""
