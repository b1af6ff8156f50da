"""Add pieces to the available stock, or take some from it, by hand.

This is the only change of stock that publishes an event. An event for each order would cost every order an
insert, a relay and a delivery, for numbers that are stale when they arrive: other services read stock from
Inventory instead. A refusal leaves its key unused.
"""

from dataclasses import dataclass

from shop.inventory.v1 import inventory_pb2

from marketplace.inventory.deps import Deps
from marketplace.inventory.domain import MAX_PIECES, Adjustment
from marketplace.inventory.messages import stock_changed
from souk.sdk import DomainError, InvalidArgument, Transaction, Violation


@dataclass(frozen=True, slots=True)
class AdjustStock:
    """Add `delta` pieces, or take them when it is negative; the key is unique within `caller`."""

    caller: str
    key: str
    product_id: str
    delta: int
    reason: str


@dataclass(frozen=True, slots=True)
class Adjusted:
    """The available pieces after the adjustment, and whether this request was a repeat."""

    available: int
    replayed: bool


async def adjust_stock(deps: Deps, command: AdjustStock) -> Adjusted:
    """Adjusts the stock and returns what is available then; a repeat gets the answer of the first request.

    Raises DomainError with OUT_OF_STOCK or IDEMPOTENCY_KEY_REUSED, and InvalidArgument when more
    pieces would have been received than can be counted.
    """
    now = deps.clock.now()

    async def work(tx: Transaction) -> Adjusted:
        found = await deps.stock.find_adjustment(tx, command.caller, command.key)
        if found is not None:
            return Adjusted(_same(found, command).available, replayed=True)
        left = await _adjust(deps, tx, command)
        record = Adjustment(command.caller, command.key, command.product_id, command.delta, command.reason, left)
        await deps.stock.insert_adjustment(tx, record, now)
        await deps.outbox.publish(tx, command.product_id, stock_changed(command.product_id, left))
        return Adjusted(left, replayed=False)

    return await deps.database.run(work, guarded=True)


def _same(found: Adjustment, command: AdjustStock) -> Adjustment:
    payload = (command.product_id, command.delta, command.reason)
    if (found.product_id, found.delta, found.reason) != payload:
        raise DomainError("IDEMPOTENCY_KEY_REUSED", "this key was already used for another adjustment")
    return found


async def _adjust(deps: Deps, tx: Transaction, command: AdjustStock) -> int:
    left = await deps.stock.adjust(tx, command.product_id, command.delta)
    if left is not None:
        return left
    if command.delta > 0:
        raise InvalidArgument([Violation("delta", f"more than {MAX_PIECES} pieces would have been received")])
    available = await deps.stock.available(tx, command.product_id) or 0
    stock = inventory_pb2.Stock(product_id=command.product_id, available=available)
    raise DomainError("OUT_OF_STOCK", f"only {available} are available", inventory_pb2.StockShortage(items=[stock]))
