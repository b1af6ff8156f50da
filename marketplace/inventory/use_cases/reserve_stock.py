"""Promise stock to an order: all items or none.

A refusal leaves nothing behind, not even its key: a repeat after OUT_OF_STOCK asks again, and may
then succeed. That is safe, because only a success binds the key, and the caller undoes whatever it
never heard the answer of by `release`.

A product that was short a moment ago, so says the gate, is looked at first: most who want it then are
refused by one read, instead of queueing for the lock of its row. The books decide either way.
"""

from dataclasses import dataclass, replace

from marketplace.inventory.domain import Action, Item, Move, Reservation, State, in_product_order
from marketplace.inventory.ports import Gate, Stockroom
from marketplace.inventory.use_cases.change_reservation import OutOfStock, change, make, out_of_stock
from souk.kernel.errors import DomainError
from souk.store.database import Database, Transaction


@dataclass(frozen=True, slots=True)
class Reserve:
    """Reserve `items` for an order under a key; `expires_at` is in microseconds since 1970."""

    key: str
    order_id: str
    items: tuple[Item, ...]
    expires_at: int


async def reserve(command: Reserve, database: Database, stockroom: Stockroom, gate: Gate, now: int) -> Reservation:
    """The reservation, now or from an earlier call with the same key.

    Raises DomainError with OUT_OF_STOCK, RESERVATION_RELEASED, or IDEMPOTENCY_KEY_REUSED.
    """
    items = in_product_order(command.items)
    wanted = Reservation(command.key, command.order_id, items, State.RESERVED, command.expires_at)
    if await gate.likely_short(items):
        short = await database.read(lambda tx: stockroom.glance(tx, command.key, items), single=True)
        if short is not None:
            raise out_of_stock(short)

    async def work(tx: Transaction) -> Reservation:
        if await stockroom.insert(tx, wanted, now):
            await make(tx, stockroom, items, Move.HOLD)
            return wanted
        return await _again(tx, stockroom, wanted)

    try:
        return await database.run(work, guarded=True)
    except OutOfStock as refusal:
        await gate.learned(refusal.short)
        raise


async def _again(tx: Transaction, stockroom: Stockroom, wanted: Reservation) -> Reservation:
    found = await stockroom.find(tx, wanted.key)
    assert found is not None, "a key that could not be inserted is there: keys are never deleted"
    if found.state is not State.RELEASED and (found.order_id, found.items) != (wanted.order_id, wanted.items):
        raise DomainError("IDEMPOTENCY_KEY_REUSED", "this key was already used for another reservation")
    if found.state is State.EXPIRED:
        found = replace(found, expires_at=wanted.expires_at)
    return await change(tx, stockroom, found, Action.RESERVE)
