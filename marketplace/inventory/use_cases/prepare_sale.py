"""Prepare a sale for a two-phase commit, and commit it or roll it back.

Nothing between reserved and sold is to be seen of it: the whole transaction commits or never was. Until then it holds
the rows of its products, and every other sale of them waits.
"""

from dataclasses import dataclass

from marketplace.inventory.deps import Deps
from marketplace.inventory.domain import Item, Move, Reservation, State, in_product_order
from marketplace.inventory.use_cases.change_reservation import make
from souk.sdk import DomainError, Transaction


@dataclass(frozen=True, slots=True)
class PrepareSale:
    """Prepare the sale of `items` in a transaction; `key` is what names the sale afterwards."""

    transaction: str
    key: str
    order_id: str
    items: tuple[Item, ...]


async def prepare_sale(deps: Deps, command: PrepareSale) -> Reservation:
    """Prepares the sale and returns it.

    Raises DomainError with OUT_OF_STOCK, IDEMPOTENCY_KEY_REUSED, and the reasons of a two-phase commit.
    """
    items, now = in_product_order(command.items), deps.clock.now()
    sale = Reservation(command.key, command.order_id, items, State.COMMITTED, now)

    async def work(tx: Transaction) -> Reservation:
        if not await deps.stock.insert(tx, sale, now):
            raise DomainError("IDEMPOTENCY_KEY_REUSED", "this key was already used for another reservation")
        await make(deps, tx, items, Move.HOLD)
        await make(deps, tx, items, Move.SELL)
        return sale

    async with deps.turns.of(item.product_id for item in items):
        return await deps.participant.prepare(command.transaction, work)
