"""Put back what was reserved and forgotten.

This is a guard against leaks, not a part of any order's life: an expiry lies beyond the time in
which its saga ends one way or the other.
"""

from marketplace.inventory.deps import Deps
from marketplace.inventory.domain import Action, State
from marketplace.inventory.use_cases.change_reservation import change
from souk.sdk import Transaction

BATCH = 100


async def expire_reservations(deps: Deps) -> int:
    """Expires up to a batch of lapsed reservations; returns how many it looked at.

    Each has its own transaction: two reservations in one would lock products out of order.
    """
    now = deps.clock.now()
    keys = await deps.database.read(lambda tx: deps.stock.lapsed(tx, now, BATCH))
    for key in keys:
        await _expire(deps, key, now)
    return len(keys)


async def _expire(deps: Deps, key: str, now: int) -> None:
    async def work(tx: Transaction) -> None:
        found = await deps.stock.find(tx, key)
        if found is not None and found.state is State.RESERVED and found.expires_at <= now:
            await change(deps, tx, found, Action.EXPIRE)

    await deps.database.run(work, guarded=True)
