"""A Valkey for the tests of shared limits."""

from souk.testing.valkey import valkey_server

__all__ = ["valkey_server"]
