"""Snapshots of orders with many events: an order that is refunded in small parts has an event for each part."""

from typing import Any

import orjson

from marketplace.order.domain.order import Order, Status
from marketplace.order.events import Item
from souk.sdk import Snapshots

FOLD = 1
"""Raise it when the same events make another order, or an order has other fields; a test notices either."""
SNAPSHOTS = Snapshots(FOLD)


def state_of(order: Order) -> bytes:
    """Serialises an order for its snapshot."""
    return orjson.dumps(order)


def order_of(state: bytes) -> Order:
    """Makes the order of a snapshot's state."""
    fields: dict[str, Any] = orjson.loads(state)
    items = tuple(Item(**item) for item in fields["items"])
    return Order(**{**fields, "status": Status(fields["status"]), "items": items})
