"""The schedule of signing keys: when a key signs, and how long it is published. Pure; times are microseconds.

    made ---- lead ----> signs ---- lifetime ----> the next one signs ---- linger ----> forgotten
    |<------------------------------ published ----------------------------------------->|

So verifiers know a key before its first token is issued, and until its last token has expired.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key as a JSON Web Key, with its id `kid` and the time from which it signs."""

    kid: str
    private_jwk: str
    signs_from: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long a key is published before it signs (`lead`), signs (`lifetime`), and stays published (`linger`)."""

    lead: int
    lifetime: int
    linger: int


@dataclass(frozen=True, slots=True)
class Rotation:
    """The keys to add and the keys to forget."""

    add: Sequence[SigningKey] = ()
    forget: Sequence[SigningKey] = ()


def signing_key(keys: Sequence[SigningKey], now: int) -> SigningKey:
    """Returns the newest key that may sign now; the first key when the clock has gone back before all of them."""
    started = [key for key in keys if key.signs_from <= now]
    return max(started, key=_start) if started else min(keys, key=_start)


def next_start(keys: Sequence[SigningKey], now: int, schedule: Schedule) -> int | None:
    """Returns the time from which a new key is to sign; None while none is due. The very first signs at once."""
    if not keys:
        return now
    end = max(key.signs_from for key in keys) + schedule.lifetime
    return max(end, now + schedule.lead) if now >= end - schedule.lead else None


def forgettable(keys: Sequence[SigningKey], now: int, schedule: Schedule) -> list[SigningKey]:
    """Returns the keys whose last token has expired."""
    by_start = sorted(keys, key=_start)
    pairs = itertools.pairwise(by_start)
    return [key for key, next_key in pairs if next_key.signs_from + schedule.linger <= now]


def _start(key: SigningKey) -> tuple[int, str]:
    return key.signs_from, key.kid
