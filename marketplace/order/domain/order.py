"""The life of an order, and the decisions of placing it.

An order is the fold of its events. A decision is a function of the order as it is; it returns the events that
follow. What may become of a placed order is in `after_placing.py`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from marketplace.order.events import (
    AttemptOpened,
    CancellationStarted,
    CancelRequested,
    Event,
    Item,
    OrderConfirmed,
    OrderPlaced,
    OrderRejected,
    RefundRecorded,
    RejectionMadeFinal,
    StockCommitted,
    StockReserved,
)
from souk.sdk import StateMachine


class Status(StrEnum):
    """The status of an order; NEW has no events yet."""

    NEW = "NEW"
    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    REJECTED = "REJECTED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    SHIPPED = "SHIPPED"
    DELIVERED = "DELIVERED"


_TAKES_REFUNDS = (
    Status.PENDING,  # its charge may be made, and refunded in part, before the order is confirmed
    Status.CONFIRMED,
    Status.CANCELLING,
    Status.CANCELLED,
    Status.SHIPPED,
    Status.DELIVERED,
)
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
        **{(status, "RefundRecorded"): status for status in _TAKES_REFUNDS},
    },
)


@dataclass(frozen=True, slots=True)
class Order:
    """An order, as its events make it. Times are microseconds since 1970; `refunds` are sums by payment.

    `updated_at` is the time of the last event that callers can see, `last_at` that of the last event of all.
    """

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
    refunds: Mapping[str, int] = field(default_factory=dict)
    reason: str = ""
    retryable: bool = False
    cancel_requested: bool = False
    stock_committed: bool = False
    created_at: int = 0
    updated_at: int = 0
    last_at: int = 0

    @property
    def refunded_total(self) -> int:
        """The amount refunded of the payment that confirmed the order, in minor units."""
        return self.refunds.get(self.payment_id, 0)


def apply(order: Order, event: Event, time: int) -> Order:
    """Returns the order after `event`; raises IllegalTransition if its status does not allow the event."""
    status = LIFE.next(order.status, type(event).__name__)
    updated_at = time if is_visible(event) else order.updated_at
    changes = _changes(order, event, time)
    return replace(order, status=status, version=order.version + 1, updated_at=updated_at, last_at=time, **changes)


def is_visible(event: Event) -> bool:
    """Tells whether an event changes the order that callers see. The progress of its saga shows in its history only."""
    return not isinstance(event, StockReserved | StockCommitted)


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
            return {"refunds": {**order.refunds, event.payment_id: event.refunded_total}}
        case _:
            return {}


def fold(order: Order, history: Iterable[tuple[Event, int]]) -> Order:
    """Applies a history of events with their times to an order, a NEW one at first, and returns what it becomes."""
    for event, time in history:
        order = apply(order, event, time)
    return order


def total_of(items: Sequence[Item]) -> int:
    """Returns the sum of price times quantity, in minor units, without tax or shipping."""
    return sum(item.price * item.quantity for item in items)


def confirm(order: Order, payment_id: str) -> list[Event]:
    """Decides the confirmation: the order is paid, and its stock is reserved."""
    return [OrderConfirmed(payment_id)]


def reject(order: Order, reason: str, *, final: bool) -> list[Event]:
    """Decides the rejection of the present attempt; it is final when `final`, or when the buyer asked to cancel."""
    return [OrderRejected(order.attempt, reason, retryable=not final and not order.cancel_requested)]


def reopen(order: Order) -> list[Event]:
    """Decides to open the next attempt."""
    return [AttemptOpened(order.attempt + 1)]


def finish_placing(order: Order) -> list[Event]:
    """Decides what follows the end of placing: a recorded request to cancel takes effect, unless the order shipped."""
    if order.status is Status.REJECTED:
        return []
    cancels = order.cancel_requested and order.status is Status.CONFIRMED
    return [StockCommitted(), CancellationStarted()] if cancels else [StockCommitted()]
