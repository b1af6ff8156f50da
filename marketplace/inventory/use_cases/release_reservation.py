"""Put a reservation back, or see to it that it never comes to be."""

from dataclasses import dataclass

from marketplace.inventory.domain import Action, Reservation, State
from marketplace.inventory.ports import Stockroom
from marketplace.inventory.use_cases.change_reservation import change
from souk.store.database import Database, Transaction


@dataclass(frozen=True, slots=True)
class Release:
    """Release what is reserved under a key."""

    key: str


async def release(command: Release, database: Database, stockroom: Stockroom, now: int) -> Reservation:
    """The released reservation; raises RESERVATION_COMMITTED when it was sold.

    Of a key never seen it records a tombstone, so that a Reserve that is late is refused.
    """
    tombstone = Reservation(command.key, "", (), State.RELEASED, 0)

    async def work(tx: Transaction) -> Reservation:
        found = await stockroom.find(tx, command.key)
        if found is None:
            if await stockroom.insert(tx, tombstone, now):
                return tombstone
            found = await stockroom.find(tx, command.key)
            assert found is not None, "a key that could not be inserted is there: keys are never deleted"
        return await change(tx, stockroom, found, Action.RELEASE)

    return await database.run(work, guarded=True)
