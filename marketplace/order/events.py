"""What happens to an order, as it is written down. Events are never changed: they hold references only."""

from dataclasses import dataclass

import orjson


@dataclass(frozen=True, slots=True)
class Item:
    """One line; `price` is a unit price in minor units."""

    product_id: str
    quantity: int
    price: int


@dataclass(frozen=True, slots=True)
class OrderPlaced:
    """The wish, as it was checked. References only: no personal data."""

    user_id: str
    items: tuple[Item, ...]
    total: int
    currency: str
    shipping_address_id: str
    payment_method: str


@dataclass(frozen=True, slots=True)
class StockReserved:
    """The stock is promised."""

    attempt: int


@dataclass(frozen=True, slots=True)
class OrderConfirmed:
    """The point of no return: paid and promised. An order for nothing has no payment."""

    payment_id: str


@dataclass(frozen=True, slots=True)
class StockCommitted:
    """The promise became a sale; placing the order has ended."""


@dataclass(frozen=True, slots=True)
class OrderRejected:
    """An attempt was refused and its stock is back."""

    attempt: int
    reason: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class AttemptOpened:
    """The client asked again with the same key."""

    attempt: int


@dataclass(frozen=True, slots=True)
class RejectionMadeFinal:
    """No further attempt will be made."""

    reason: str


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The buyer wants it cancelled; it takes effect when placing has ended."""


@dataclass(frozen=True, slots=True)
class CancellationStarted:
    """Refund and restock begin."""


@dataclass(frozen=True, slots=True)
class OrderCancelled:
    """Refunded and restocked."""


@dataclass(frozen=True, slots=True)
class OrderShipped:
    """With the carrier."""


@dataclass(frozen=True, slots=True)
class OrderDelivered:
    """At the door."""


@dataclass(frozen=True, slots=True)
class RefundRecorded:
    """So much of a payment was given back by now. It may be heard of before the order knows its payment."""

    payment_id: str
    refunded_total: int


Event = (
    OrderPlaced
    | StockReserved
    | OrderConfirmed
    | StockCommitted
    | OrderRejected
    | AttemptOpened
    | RejectionMadeFinal
    | CancelRequested
    | CancellationStarted
    | OrderCancelled
    | OrderShipped
    | OrderDelivered
    | RefundRecorded
)
EVENT_TYPES: dict[str, type[Event]] = {kind.__name__: kind for kind in Event.__args__}


def to_json(event: Event) -> bytes:
    """An event as the log keeps it."""
    return orjson.dumps(event)


def from_json(kind: str, payload: bytes) -> Event:
    """The event that `to_json` wrote down."""
    data = orjson.loads(payload)
    if kind == "OrderPlaced":
        data = {**data, "items": tuple(Item(**item) for item in data["items"])}
    return EVENT_TYPES[kind](**data)
