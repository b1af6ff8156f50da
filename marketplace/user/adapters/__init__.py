"""Adapters: password hashing, token signing, and the calls to Order and Payment."""
