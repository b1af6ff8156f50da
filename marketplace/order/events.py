"""The events of an order as they are stored. They are never changed, so they hold references, no personal data."""

from dataclasses import dataclass

import orjson

from souk.sdk import EventTypes, NewEvent, RecordedEvent


@dataclass(frozen=True, slots=True)
class Item:
    """One line of an order; `price` is the unit price in minor units."""

    product_id: str
    quantity: int
    price: int


@dataclass(frozen=True, slots=True)
class OrderPlaced:
    """The order was placed, with its request as it was checked. References only: no personal data."""

    user_id: str
    items: tuple[Item, ...]
    total: int
    currency: str
    shipping_address_id: str
    payment_method: str


@dataclass(frozen=True, slots=True)
class StockReserved:
    """The stock for this attempt is reserved."""

    attempt: int


@dataclass(frozen=True, slots=True)
class OrderConfirmed:
    """The order is paid and its stock reserved: the pivot of placing. A free order has an empty `payment_id`."""

    payment_id: str


@dataclass(frozen=True, slots=True)
class StockCommitted:
    """The reservation became a sale; placing the order has ended."""


@dataclass(frozen=True, slots=True)
class OrderRejected:
    """An attempt was refused, and its stock was released."""

    attempt: int
    reason: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class AttemptOpened:
    """The client sent the request again with the same key: the next attempt begins."""

    attempt: int


@dataclass(frozen=True, slots=True)
class RejectionMadeFinal:
    """No further attempt will be made."""

    reason: str


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The buyer asked to cancel; it takes effect when placing has ended."""


@dataclass(frozen=True, slots=True)
class CancellationStarted:
    """Refund and return of the stock begin."""


@dataclass(frozen=True, slots=True)
class OrderCancelled:
    """The payment was refunded, and the stock was returned."""


@dataclass(frozen=True, slots=True)
class OrderShipped:
    """The order was handed to the carrier."""


@dataclass(frozen=True, slots=True)
class OrderDelivered:
    """The order arrived at the buyer."""


@dataclass(frozen=True, slots=True)
class RefundRecorded:
    """The amount refunded of a payment so far. It may be recorded before the order knows its payment."""

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
EVENTS = EventTypes(EVENT_TYPES)
"""Every type is in its first version. A change of one adds the function that makes them of the old ones."""


def to_json(event: Event) -> bytes:
    """Serialises an event for the event store."""
    return orjson.dumps(event)


def stored(event: Event, time: int, types: EventTypes = EVENTS) -> NewEvent:
    """Makes what the event store keeps of an event that happened at `time`."""
    kind = type(event).__name__
    return NewEvent(kind, to_json(event), time, types.metadata(kind))


def event_of(recorded: RecordedEvent, types: EventTypes = EVENTS) -> Event:
    """Makes the event of what the event store has, whichever version of its type that is.

    Raises UnknownEvent when a newer version of this code has stored it.
    """
    data = types.present(recorded.type, recorded.metadata, orjson.loads(recorded.payload))
    if recorded.type == "OrderPlaced":
        data = {**data, "items": tuple(Item(**item) for item in data["items"])}
    return EVENT_TYPES[recorded.type](**data)
