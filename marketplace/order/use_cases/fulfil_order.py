"""Ship and deliver an order: an administrator records where the parcel is."""

from collections.abc import Callable
from dataclasses import dataclass

from marketplace.order.deps import Deps
from marketplace.order.domain import after_placing
from marketplace.order.domain.order import Order
from marketplace.order.events import Event
from souk.sdk import Transaction, decide


@dataclass(frozen=True, slots=True)
class ShipOrder:
    """Record that an order, of any buyer, was handed to the carrier."""

    order_id: str


@dataclass(frozen=True, slots=True)
class DeliverOrder:
    """Record that an order, of any buyer, has arrived."""

    order_id: str


async def ship_order(deps: Deps, command: ShipOrder) -> Order:
    """Records the shipping and returns the order; raises ORDER_NOT_FOUND and NOT_SHIPPABLE."""
    return await _record(deps, command.order_id, after_placing.ship)


async def deliver_order(deps: Deps, command: DeliverOrder) -> Order:
    """Records the delivery and returns the order; raises ORDER_NOT_FOUND and NOT_DELIVERABLE."""
    return await _record(deps, command.order_id, after_placing.deliver)


async def _record(deps: Deps, order_id: str, decision: Callable[[Order], list[Event]]) -> Order:
    async def record(tx: Transaction) -> Order:
        order = await deps.orders.load_known(tx, order_id)
        return await deps.orders.change(tx, order, decision(order))

    return await decide(deps.database, record)
