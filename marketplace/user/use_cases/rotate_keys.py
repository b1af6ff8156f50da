"""Making the next signing key in time, and forgetting those whose tokens have all ended."""

from collections.abc import Sequence

from marketplace.user.signing import Schedule, SigningKey, forgettable, next_start

from marketplace.user.ports import Keys, Rotation, Signer
from souk.kernel.clock import Clock


async def rotate_keys(keys: Keys, signer: Signer, schedule: Schedule, clock: Clock) -> Sequence[SigningKey]:
    """The keys from now on. May be called at any time, by any replica."""

    def plan(known: Sequence[SigningKey]) -> Rotation:
        now = clock.now()
        start = next_start(known, now, schedule)
        add = () if start is None else (signer.make_key(start),)
        return Rotation(add, forgettable(known, now, schedule))

    return await keys.rotate(plan)
