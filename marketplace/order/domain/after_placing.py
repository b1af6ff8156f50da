"""The decisions about an order that was placed: to cancel, ship, deliver and refund it.

Each is a function of the order as it is; it returns the events that follow, or raises the refusal that the caller gets.
"""

from marketplace.order.domain.order import LIFE, Order, Status
from marketplace.order.events import (
    CancellationStarted,
    CancelRequested,
    Event,
    OrderCancelled,
    OrderDelivered,
    OrderShipped,
    RefundRecorded,
    RejectionMadeFinal,
)
from souk.sdk import DomainError


def cancel(order: Order) -> list[Event]:
    """Decides about the buyer's request to cancel; nothing follows when it was made before.

    Raises NOT_CANCELLABLE.
    """
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
    """Decides to hand the order to the carrier; a repeat changes nothing. Raises NOT_SHIPPABLE."""
    if order.status is Status.SHIPPED:
        return []
    if order.status is not Status.CONFIRMED or order.cancel_requested:
        command = " and about to be cancelled" if order.cancel_requested else ""
        raise DomainError(
            "NOT_SHIPPABLE", f"only a confirmed order can be shipped; this one is {order.status}{command}"
        )
    if order.total and order.refunded_total >= order.total:
        raise DomainError("NOT_SHIPPABLE", "all of its money was given back; cancel it, so that its stock comes back")
    return [OrderShipped()]


def deliver(order: Order) -> list[Event]:
    """Decides to record the arrival; a repeat changes nothing. Raises NOT_DELIVERABLE."""
    if order.status is Status.DELIVERED:
        return []
    if order.status is not Status.SHIPPED:
        raise DomainError("NOT_DELIVERABLE", f"only a shipped order can arrive; this one is {order.status}")
    return [OrderDelivered()]


def finish_cancelling(order: Order) -> list[Event]:
    """Decides the end of cancelling: the whole charge is refunded, and the stock is back."""
    return [*record_refund(order, order.payment_id, order.total), OrderCancelled()]


def record_refund(order: Order, payment_id: str, refunded_total: int) -> list[Event]:
    """Decides to record a refund; `refunded_total` is the sum for that payment so far.

    An older, smaller sum changes nothing. Refunds of a failed attempt's payment are not the order's.
    """
    other = order.status is not Status.PENDING and payment_id != order.payment_id
    if other or not LIFE.allows(order.status, "RefundRecorded") or refunded_total <= order.refunds.get(payment_id, 0):
        return []
    return [RefundRecorded(payment_id, refunded_total)]
