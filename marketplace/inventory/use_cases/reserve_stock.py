"""Reserve stock for an order: all items or none.

A refusal stores nothing, not even its key: a repeat after OUT_OF_STOCK tries again, and may succeed. That is
safe, because only a success binds the key, and a caller that got no answer undoes the request by `release`.

When the hints say that a product was short a moment ago, its stock is read first: most requests for it are then
refused by one read, instead of queueing for the lock of its row. The database decides in either case.
"""

from dataclasses import dataclass, replace

from marketplace.inventory.deps import Deps
from marketplace.inventory.domain import Action, Item, Move, Reservation, State, in_product_order
from marketplace.inventory.use_cases.change_reservation import OutOfStock, change, make, out_of_stock
from souk.sdk import DomainError, Transaction


@dataclass(frozen=True, slots=True)
class ReserveStock:
    """Reserve `items` for an order under a key; `expires_at` is in microseconds since 1970."""

    key: str
    order_id: str
    items: tuple[Item, ...]
    expires_at: int


async def reserve_stock(deps: Deps, command: ReserveStock) -> Reservation:
    """Reserves the items, and returns the reservation, new or from an earlier call with the same key.

    Raises DomainError with OUT_OF_STOCK, RESERVATION_RELEASED, or IDEMPOTENCY_KEY_REUSED.
    """
    items = in_product_order(command.items)
    wanted = Reservation(command.key, command.order_id, items, State.RESERVED, command.expires_at)
    async with deps.turns.of(item.product_id for item in items):
        return await _reserve(deps, wanted)


async def _reserve(deps: Deps, wanted: Reservation) -> Reservation:
    items, now = wanted.items, deps.clock.now()
    if await deps.hints.likely_short(items):
        short = await deps.database.read(lambda tx: deps.stock.glance(tx, wanted.key, items), single=True)
        if short is not None:
            raise out_of_stock(short)

    async def work(tx: Transaction) -> Reservation:
        if await deps.stock.insert(tx, wanted, now):
            await make(deps, tx, items, Move.HOLD)
            return wanted
        return await _again(deps, tx, wanted)

    try:
        return await deps.database.run(work, guarded=True)
    except OutOfStock as refusal:
        await deps.hints.learned(refusal.short)
        raise


async def _again(deps: Deps, tx: Transaction, wanted: Reservation) -> Reservation:
    found = await deps.stock.find(tx, wanted.key)
    assert found is not None, "a key that could not be inserted is there: keys are never deleted"
    if found.state is not State.RELEASED and (found.order_id, found.items) != (wanted.order_id, wanted.items):
        raise DomainError("IDEMPOTENCY_KEY_REUSED", "this key was already used for another reservation")
    if found.state is State.EXPIRED:
        found = replace(found, expires_at=wanted.expires_at)
    return await change(deps, tx, found, Action.RESERVE)
