"""The steps of every change of a reservation: read it under a lock, decide by the table, move pieces, record."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from shop.inventory.v1 import inventory_pb2

from marketplace.inventory.deps import Deps
from marketplace.inventory.domain import Action, Item, Move, Refused, Reservation, decide
from souk.sdk import DomainError, Transaction


async def change(deps: Deps, tx: Transaction, found: Reservation, action: Action) -> Reservation:
    """Applies an action and returns the reservation; raises DomainError when its state forbids it or stock is short."""
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
    """Applies an action to a reservation that was read without a lock.

    Returns None, having changed nothing, when the action is refused or a repeat, or the state has changed since.
    """
    decision = decide(peeked.state, action)
    if isinstance(decision, Refused) or decision.state is peeked.state:
        return None
    if not await deps.stock.pass_on(tx, peeked, decision.state):
        return None
    for move in decision.moves:
        await make(deps, tx, peeked.items, move)
    return replace(peeked, state=decision.state)


async def make(deps: Deps, tx: Transaction, items: Sequence[Item], move: Move) -> None:
    """Makes one move; raises OUT_OF_STOCK, with every product that is short, when too little is available."""
    if move is not Move.HOLD:
        await deps.stock.move(tx, items, move)
        return
    short = await deps.stock.hold(tx, items)
    if short:
        raise out_of_stock(short)


class OutOfStock(DomainError):
    """The refusal for want of stock; `short` is what is available of each product that is short."""

    short: Mapping[str, int] = MappingProxyType({})


def out_of_stock(short: dict[str, int]) -> OutOfStock:
    """Makes the refusal, with what is available of each product that is short."""
    items = [inventory_pb2.Stock(product_id=product, available=left) for product, left in short.items()]
    detail = ", ".join(f"{product}: {left} available" for product, left in short.items())
    refusal = OutOfStock("OUT_OF_STOCK", f"not enough stock ({detail})", inventory_pb2.StockShortage(items=items))
    refusal.short = short
    return refusal
