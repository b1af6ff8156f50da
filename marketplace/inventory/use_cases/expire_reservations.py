"""Put back what was reserved and forgotten.

This is a guard against leaks, not a part of any order's life: an expiry lies beyond the time in
which its saga ends one way or the other.
"""

from marketplace.inventory.domain import Action, State
from marketplace.inventory.ports import Stockroom
from marketplace.inventory.use_cases.change_reservation import change
from souk.store.database import Database, Transaction

BATCH = 100


async def expire_reservations(database: Database, stockroom: Stockroom, now: int) -> int:
    """Expires up to a batch of lapsed reservations; returns how many it looked at.

    Each has its own transaction: two reservations in one would lock products out of order.
    """
    keys = await database.read(lambda tx: stockroom.lapsed(tx, now, BATCH))
    for key in keys:
        await _expire(key, database, stockroom, now)
    return len(keys)


async def _expire(key: str, database: Database, stockroom: Stockroom, now: int) -> None:
    async def work(tx: Transaction) -> None:
        found = await stockroom.find(tx, key)
        if found is not None and found.state is State.RESERVED and found.expires_at <= now:
            await change(tx, stockroom, found, Action.EXPIRE)

    await database.run(work, guarded=True)
