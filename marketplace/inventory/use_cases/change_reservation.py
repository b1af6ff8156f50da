"""The one way in which a reservation changes: read under lock, decide by the table, move, record."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from shop.inventory.v1 import inventory_pb2

from marketplace.inventory.deps import Deps
from marketplace.inventory.domain import Action, Item, Move, Refused, Reservation, decide
from souk.sdk import DomainError, Transaction


async def change(deps: Deps, tx: Transaction, found: Reservation, action: Action) -> Reservation:
    """The reservation after `action`; raises DomainError when its state forbids that, or stock is short."""
    decision = decide(found.state, action)
    if isinstance(decision, Refused):
        raise DomainError(decision.reason, decision.detail)
    if decision.state is found.state:
        return found
    for move in decision.moves:
        await make(deps, tx, found.items, move)
    await deps.stock.update(tx, found.key, decision.state, found.expires_at)
    return Reservation(found.key, found.order_id, found.items, decision.state, found.expires_at)


async def change_peeked(deps: Deps, tx: Transaction, peeked: Reservation, action: Action) -> Reservation | None:
    """As `change`, of a reservation that was seen without a lock; None when that is not possible."""
    decision = decide(peeked.state, action)
    if isinstance(decision, Refused) or decision.state is peeked.state:
        return None
    if not await deps.stock.pass_on(tx, peeked, decision.state):
        return None
    for move in decision.moves:
        await make(deps, tx, peeked.items, move)
    return replace(peeked, state=decision.state)


async def make(deps: Deps, tx: Transaction, items: Sequence[Item], move: Move) -> None:
    """Makes one move; raises OUT_OF_STOCK, naming everything that is short, when there is too little to hold."""
    if move is not Move.HOLD:
        await deps.stock.move(tx, items, move)
        return
    short = await deps.stock.hold(tx, items)
    if short:
        raise out_of_stock(short)


class OutOfStock(DomainError):
    """The refusal; `short` is what there is of each product that is short."""

    short: Mapping[str, int] = MappingProxyType({})


def out_of_stock(short: dict[str, int]) -> OutOfStock:
    """The refusal, with what there is of each product that is short."""
    items = [inventory_pb2.Stock(product_id=product, available=left) for product, left in short.items()]
    detail = ", ".join(f"{product}: {left} available" for product, left in short.items())
    refusal = OutOfStock("OUT_OF_STOCK", f"not enough stock ({detail})", inventory_pb2.StockShortage(items=items))
    refusal.short = short
    return refusal
