"""Put a sale back into stock, when a confirmed order is cancelled."""

from dataclasses import dataclass

from marketplace.inventory.deps import Deps
from marketplace.inventory.domain import Action, Reservation
from marketplace.inventory.use_cases.change_reservation import change
from souk.sdk import DomainError, Transaction


@dataclass(frozen=True, slots=True)
class ReturnStock:
    """Put the pieces that were sold under a key back into stock."""

    key: str


async def return_stock(deps: Deps, command: ReturnStock) -> Reservation:
    """Puts the sale back and returns its reservation; raises RESERVATION_NOT_FOUND if nothing was sold."""

    async def work(tx: Transaction) -> Reservation:
        found = await deps.stock.find(tx, command.key)
        if found is None:
            raise DomainError("RESERVATION_NOT_FOUND", "nothing was sold under this key")
        return await change(deps, tx, found, Action.RETURN)

    return await deps.database.run(work, guarded=True)
