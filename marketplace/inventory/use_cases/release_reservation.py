"""Release a reservation, or block its key if there is none."""

from dataclasses import dataclass

from marketplace.inventory.deps import Deps
from marketplace.inventory.domain import Action, Reservation, State
from marketplace.inventory.use_cases.change_reservation import change
from souk.sdk import Transaction


@dataclass(frozen=True, slots=True)
class ReleaseReservation:
    """Release the reservation of a key."""

    key: str


async def release_reservation(deps: Deps, command: ReleaseReservation) -> Reservation:
    """Releases the reservation and returns it; raises RESERVATION_COMMITTED when it was sold.

    For an unknown key it records a tombstone, so that a Reserve that arrives later is refused.
    """
    tombstone = Reservation(command.key, "", (), State.RELEASED, 0)
    now = deps.clock.now()

    async def work(tx: Transaction) -> Reservation:
        found = await deps.stock.find(tx, command.key)
        if found is None:
            if await deps.stock.insert(tx, tombstone, now):
                return tombstone
            found = await deps.stock.find(tx, command.key)
            assert found is not None, "a key that could not be inserted is there: keys are never deleted"
        return await change(deps, tx, found, Action.RELEASE)

    return await deps.database.run(work, guarded=True)
