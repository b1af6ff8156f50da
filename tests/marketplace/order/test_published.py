"""What Order tells others of an order's events."""

from google.protobuf.message import Message

from marketplace.order.domain.order import Order, apply
from marketplace.order.events import (
    CancellationStarted,
    CancelRequested,
    Event,
    Item,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OrderRejected,
    RefundRecorded,
    RejectionMadeFinal,
    StockCommitted,
)
from marketplace.order.messages import published

PLACED = OrderPlaced("U-1", (Item("P-1", 2, 1_200),), 2_400, "EUR", "ADDR-1", "card")


def told(*events: Event) -> list[Message]:
    after, found = Order("ORD-1"), list[Message]()
    for time, event in enumerate((PLACED, *events), start=1):
        before, after = after, apply(after, event, time)
        found += [message for _, message in published(before, after)]
    return found


def names(messages: list[Message]) -> list[str]:
    return [message.DESCRIPTOR.name for message in messages]


def test_each_refund_tells_what_it_gave_back() -> None:
    found = told(OrderConfirmed("PAY-1"), RefundRecorded("PAY-1", 500), RefundRecorded("PAY-1", 800))
    assert names(found) == ["OrderConfirmed", "OrderRefunded", "OrderRefunded"]
    assert [(message.amount, message.order.refunded_total) for message in found[1:]] == [(500, 500), (300, 800)]
    assert [message.order.updated_at.ToMicroseconds() for message in found] == [2, 3, 4]


def test_a_cancelled_order_tells_of_its_refund_first() -> None:
    cancelling = (StockCommitted(), CancelRequested(), CancellationStarted())
    found = told(OrderConfirmed("PAY-1"), *cancelling, RefundRecorded("PAY-1", 2_400), OrderCancelled())
    assert names(found) == ["OrderConfirmed", "OrderRefunded", "OrderCancelled"]


def test_a_refund_before_the_confirmation_is_told_after_it() -> None:
    found = told(RefundRecorded("PAY-1", 500), OrderConfirmed("PAY-1"))
    assert names(found) == ["OrderConfirmed", "OrderRefunded"]
    assert found[1].amount == 500


def test_the_refund_of_an_attempt_that_failed_is_no_refund_of_the_order() -> None:
    found = told(RefundRecorded("PAY-0", 2_400), OrderConfirmed("PAY-1"))
    assert names(found) == ["OrderConfirmed"]


def test_a_rejection_is_told_when_it_is_final() -> None:
    assert names(told(OrderRejected(1, "PAYMENT_UNAVAILABLE", retryable=True))) == []
    made_final = RejectionMadeFinal("ORDER_CANCELLED")
    (event,) = told(OrderRejected(1, "PAYMENT_UNAVAILABLE", retryable=True), made_final)
    assert (event.DESCRIPTOR.name, event.reason) == ("OrderRejected", "ORDER_CANCELLED")
