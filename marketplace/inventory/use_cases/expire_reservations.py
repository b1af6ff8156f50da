"""Expire reservations that were neither committed nor released, and put their stock back.

This only guards against leaks and is not a normal step of an order: a reservation expires long after its saga
must have ended.
"""

from marketplace.inventory.deps import Deps
from marketplace.inventory.domain import Action, State
from marketplace.inventory.use_cases.change_reservation import change
from souk.sdk import Transaction

BATCH = 100


async def expire_reservations(deps: Deps) -> int:
    """Expires at most BATCH lapsed reservations; returns how many it found.

    Each has a transaction of its own: two reservations in one would lock products out of order.
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
