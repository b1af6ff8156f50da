"""Identifiers: a prefix for the kind of thing, then a ULID, so that ids sort by the time of their creation.

A ULID (https://github.com/ulid/spec) is 48 bits of milliseconds and 80 random bits, written as 26
characters of Crockford's base 32. Within one millisecond the order is arbitrary.
"""

import secrets

from souk.kernel.clock import Clock, SystemClock

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH = 26
_RANDOM_BITS = 80
_SYSTEM = SystemClock()


def new_id(prefix: str, clock: Clock = _SYSTEM) -> str:
    """Makes a new identifier, such as "ORD-01JD4R0Y3K8Z6W5T2Q1N7M9P4B" for the prefix "ORD"."""
    number = (clock.now() // 1_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    return f"{prefix}-{_crockford(number)}"


def _crockford(number: int) -> str:
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(5 * (_LENGTH - 1), -1, -5))
