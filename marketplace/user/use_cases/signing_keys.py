"""The signing keys: the next one is made in time, and those whose tokens have all expired are deleted.

Listing them is from memory; they are read again from the database after FRESH seconds.
"""

from collections.abc import Sequence

from marketplace.user.deps import Deps
from marketplace.user.domain.signing import Rotation, SigningKey, forgettable, next_start
from souk.sdk import Transaction

FRESH = 30.0
"""Seconds; far less than the lead of a key, so that every replica knows a key before it signs."""


async def list_signing_keys(deps: Deps) -> Sequence[SigningKey]:
    """Returns the signing keys, at least one: makes the first key when there is none."""
    known, now = deps.known_keys, deps.clock.monotonic()
    if not known.keys or now - known.read_at >= FRESH:
        known.keys = await deps.database.read(deps.keys.all) or await rotate_keys(deps)
        known.read_at = now
    return known.keys


async def rotate_keys(deps: Deps) -> Sequence[SigningKey]:
    """Rotates the keys if that is due, and returns the present keys. May be called at any time, by any replica.

    This process then keeps no private key in memory that is no longer among them.
    """

    async def work(tx: Transaction) -> Sequence[SigningKey]:
        await deps.keys.lock(tx)
        await deps.keys.rotate(tx, _rotation(deps, await deps.keys.all(tx)))
        return await deps.keys.all(tx)

    keys = await deps.database.run(work, guarded=True)
    deps.signer.keep_only(keys)
    return keys


def _rotation(deps: Deps, known: Sequence[SigningKey]) -> Rotation:
    now = deps.clock.now()
    start = next_start(known, now, deps.schedule)
    add = () if start is None else (deps.signer.make_key(start),)
    return Rotation(add, forgettable(known, now, deps.schedule))
