"""Listing the signing keys, from memory; they are read again from the database after FRESH seconds."""

from collections.abc import Sequence

from marketplace.user.deps import Deps
from marketplace.user.domain.signing import SigningKey
from marketplace.user.use_cases.rotate_keys import rotate_keys

FRESH = 30.0
"""Seconds; far less than the lead of a key, so that every replica knows a key before it signs."""


async def list_signing_keys(deps: Deps) -> Sequence[SigningKey]:
    """Returns the signing keys, at least one: makes the first key when there is none."""
    known, now = deps.known_keys, deps.clock.monotonic()
    if not known.keys or now - known.read_at >= FRESH:
        known.keys = await deps.database.read(deps.keys.all) or await rotate_keys(deps)
        known.read_at = now
    return known.keys
