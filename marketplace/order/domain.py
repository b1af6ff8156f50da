"""What an order is, and what may happen to it. Pure: events in, events out.

An order is the fold of its events. A decision looks at the order as it is and answers with the
events that follow, or raises the refusal that the caller sees.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from souk.kernel.errors import DomainError
from souk.kernel.state_machine import StateMachine


class Status(StrEnum):
    """Where an order stands."""

    NEW = "NEW"
    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    REJECTED = "REJECTED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    SHIPPED = "SHIPPED"
    DELIVERED = "DELIVERED"


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
    """So much of the charge was given back by now."""

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

_AFTER_CONFIRMATION = (Status.CONFIRMED, Status.CANCELLING, Status.CANCELLED, Status.SHIPPED, Status.DELIVERED)
LIFE = StateMachine(
    "order",
    Status.NEW,
    {
        (Status.NEW, "OrderPlaced"): Status.PENDING,
        (Status.PENDING, "StockReserved"): Status.PENDING,
        (Status.PENDING, "CancelRequested"): Status.PENDING,
        (Status.PENDING, "OrderConfirmed"): Status.CONFIRMED,
        (Status.PENDING, "OrderRejected"): Status.REJECTED,
        (Status.REJECTED, "AttemptOpened"): Status.PENDING,
        (Status.REJECTED, "RejectionMadeFinal"): Status.REJECTED,
        (Status.CONFIRMED, "StockCommitted"): Status.CONFIRMED,
        (Status.CONFIRMED, "CancelRequested"): Status.CONFIRMED,
        (Status.CONFIRMED, "CancellationStarted"): Status.CANCELLING,
        (Status.CONFIRMED, "OrderShipped"): Status.SHIPPED,
        (Status.CANCELLING, "OrderCancelled"): Status.CANCELLED,
        (Status.SHIPPED, "StockCommitted"): Status.SHIPPED,
        (Status.SHIPPED, "OrderDelivered"): Status.DELIVERED,
        (Status.DELIVERED, "StockCommitted"): Status.DELIVERED,
        **{(status, "RefundRecorded"): status for status in _AFTER_CONFIRMATION},
    },
)


@dataclass(frozen=True, slots=True)
class Order:
    """An order as its events made it. Times are microseconds."""

    id: str
    status: Status = Status.NEW
    version: int = 0
    attempt: int = 0
    user_id: str = ""
    items: tuple[Item, ...] = ()
    total: int = 0
    currency: str = ""
    shipping_address_id: str = ""
    payment_method: str = ""
    payment_id: str = ""
    refunded_total: int = 0
    reason: str = ""
    retryable: bool = False
    cancel_requested: bool = False
    stock_committed: bool = False
    created_at: int = 0
    updated_at: int = 0


def apply(order: Order, event: Event, time: int) -> Order:
    """The order after `event`; IllegalTransition if its state does not allow it."""
    status = LIFE.next(order.status, type(event).__name__)
    order = replace(order, status=status, version=order.version + 1, updated_at=time)
    return replace(order, **_changes(order, event, time))


def _changes(order: Order, event: Event, time: int) -> dict[str, Any]:
    match event:
        case OrderPlaced():
            fields = {name: getattr(event, name) for name in OrderPlaced.__slots__}
            return {**fields, "attempt": 1, "created_at": time}
        case OrderConfirmed():
            return {"payment_id": event.payment_id}
        case StockCommitted():
            return {"stock_committed": True}
        case OrderRejected():
            return {"reason": event.reason, "retryable": event.retryable}
        case AttemptOpened():
            return {"attempt": event.attempt, "reason": "", "retryable": False}
        case RejectionMadeFinal():
            return {"reason": event.reason, "retryable": False}
        case CancelRequested():
            return {"cancel_requested": True}
        case RefundRecorded():
            return {"refunded_total": event.refunded_total}
        case _:
            return {}


def fold(order_id: str, history: Iterable[tuple[Event, int]]) -> Order:
    """The order that its history makes."""
    order = Order(order_id)
    for event, time in history:
        order = apply(order, event, time)
    return order


def total_of(items: Sequence[Item]) -> int:
    """Sum of price times quantity; without tax or shipping."""
    return sum(item.price * item.quantity for item in items)


def confirm(order: Order, payment_id: str) -> list[Event]:
    """Paid and promised."""
    return [OrderConfirmed(payment_id)]


def reject(order: Order, reason: str, *, final: bool) -> list[Event]:
    """The attempt was refused; a wish to cancel makes that final."""
    return [OrderRejected(order.attempt, reason, retryable=not final and not order.cancel_requested)]


def reopen(order: Order) -> list[Event]:
    """The next attempt."""
    return [AttemptOpened(order.attempt + 1)]


def finish_placing(order: Order) -> list[Event]:
    """Placing has ended; a recorded wish to cancel takes effect unless the parcel has left."""
    if order.status is Status.REJECTED:
        return []
    cancels = order.cancel_requested and order.status is Status.CONFIRMED
    return [StockCommitted(), CancellationStarted()] if cancels else [StockCommitted()]


def cancel(order: Order) -> list[Event]:
    """The buyer wants it cancelled. Nothing follows where the wish was already taken up."""
    match order.status:
        case Status.PENDING | Status.CONFIRMED if order.cancel_requested:
            return []
        case Status.CONFIRMED if order.stock_committed:
            return [CancelRequested(), CancellationStarted()]
        case Status.PENDING | Status.CONFIRMED:
            return [CancelRequested()]
        case Status.REJECTED if order.retryable:
            return [RejectionMadeFinal("ORDER_CANCELLED")]
        case Status.CANCELLING | Status.CANCELLED:
            return []
        case Status.REJECTED if order.reason == "ORDER_CANCELLED" or order.cancel_requested:
            return []
        case _:
            raise DomainError("NOT_CANCELLABLE", f"an order that is {order.status} cannot be cancelled")


def ship(order: Order) -> list[Event]:
    """Hand it to the carrier; a repeat changes nothing."""
    if order.status is Status.SHIPPED:
        return []
    if order.status is not Status.CONFIRMED or order.cancel_requested:
        wish = " and about to be cancelled" if order.cancel_requested else ""
        raise DomainError("NOT_SHIPPABLE", f"only a confirmed order can be shipped; this one is {order.status}{wish}")
    return [OrderShipped()]


def deliver(order: Order) -> list[Event]:
    """It arrived; a repeat changes nothing."""
    if order.status is Status.DELIVERED:
        return []
    if order.status is not Status.SHIPPED:
        raise DomainError("NOT_DELIVERABLE", f"only a shipped order can arrive; this one is {order.status}")
    return [OrderDelivered()]


def finish_cancelling(order: Order) -> list[Event]:
    """Refunded and restocked: the whole charge is back."""
    return [*record_refund(order, order.total), OrderCancelled()]


def record_refund(order: Order, refunded_total: int) -> list[Event]:
    """Refunds only add up: an older sum changes nothing, and an order never confirmed has none."""
    if refunded_total <= order.refunded_total or order.status not in _AFTER_CONFIRMATION:
        return []
    return [RefundRecorded(refunded_total)]


def to_data(event: Event) -> dict[str, Any]:
    """An event as plain data, for the log."""
    return asdict(event)


def from_data(kind: str, data: dict[str, Any]) -> Event:
    """The event that `to_data` wrote down."""
    if kind == "OrderPlaced":
        data = {**data, "items": tuple(Item(**item) for item in data["items"])}
    return EVENT_TYPES[kind](**data)
