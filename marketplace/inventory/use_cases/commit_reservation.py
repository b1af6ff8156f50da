"""Turn a reservation into a sale."""

from dataclasses import dataclass

from marketplace.inventory.deps import Deps
from marketplace.inventory.domain import Action, Reservation
from marketplace.inventory.use_cases.change_reservation import change, change_peeked
from souk.sdk import DomainError, Transaction


@dataclass(frozen=True, slots=True)
class CommitReservation:
    """Turn the reservation of a key into a sale."""

    key: str


async def commit_reservation(deps: Deps, command: CommitReservation) -> Reservation:
    """Turns the reservation into a sale and returns it. An expired reservation is reserved again first.

    Raises DomainError with OUT_OF_STOCK (the reservation expired, and the stock is gone), RESERVATION_RELEASED,
    or RESERVATION_NOT_FOUND.
    """

    peeked = await deps.database.read(lambda tx: deps.stock.peek(tx, command.key), single=True)

    async def work(tx: Transaction) -> Reservation:
        if peeked is not None and (sold := await change_peeked(deps, tx, peeked, Action.COMMIT)) is not None:
            return sold
        found = await deps.stock.find(tx, command.key)
        if found is None:
            raise DomainError("RESERVATION_NOT_FOUND", "nothing is reserved under this key")
        return await change(deps, tx, found, Action.COMMIT)

    return await deps.database.run(work, guarded=True)
