"""The life of an order: what may happen to it, in which order, and what its log says."""

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from marketplace.order import events
from marketplace.order.domain import after_placing
from marketplace.order.domain import order as domain
from marketplace.order.domain.order import LIFE, Order, Status
from marketplace.order.events import EVENT_TYPES, Event, Item, OrderPlaced
from souk.kernel.errors import DomainError, UnknownEvent
from souk.kernel.state_machine import IllegalTransition
from souk.store.event_store import NewEvent, RecordedEvent
from souk.store.event_types import EventTypes

ITEMS = (Item("P-1", 2, 1200), Item("P-2", 1, 5))
PLACED = OrderPlaced("U-1", ITEMS, 2405, "EUR", "ADDR-1", "card")


def after(*history: Event) -> Order:
    return domain.fold(Order("ORD-1"), [(event, 10 + place) for place, event in enumerate(history)])


PENDING = after(PLACED)
CONFIRMED = after(PLACED, events.OrderConfirmed("PAY-1"))
SETTLED = after(PLACED, events.OrderConfirmed("PAY-1"), events.StockCommitted())
RETRYABLE = after(PLACED, events.OrderRejected(1, "PAYMENT_UNAVAILABLE", retryable=True))


def test_total_is_price_times_quantity() -> None:
    assert domain.total_of(ITEMS) == 2405


def test_how_the_saga_goes_on_is_not_seen_of_the_order() -> None:
    reserved = domain.apply(PENDING, events.StockReserved(1), 50)
    assert (reserved.updated_at, reserved.last_at) == (PENDING.updated_at, 50)
    assert (SETTLED.updated_at, SETTLED.last_at) == (CONFIRMED.updated_at, CONFIRMED.last_at + 1)


def test_a_wish_to_cancel_while_pending_takes_effect_when_placing_has_ended() -> None:
    wished = after(PLACED, *after_placing.cancel(PENDING), events.OrderConfirmed("PAY-1"))
    assert wished.status is Status.CONFIRMED
    assert domain.finish_placing(wished) == [events.StockCommitted(), events.CancellationStarted()]


def test_a_confirmed_order_whose_stock_is_not_sold_yet_waits_with_cancelling() -> None:
    assert after_placing.cancel(CONFIRMED) == [events.CancelRequested()]
    assert after_placing.cancel(SETTLED) == [events.CancelRequested(), events.CancellationStarted()]


def test_cancelling_a_retryable_rejection_makes_it_final_and_a_repeat_changes_nothing() -> None:
    (event,) = after_placing.cancel(RETRYABLE)
    final = domain.apply(RETRYABLE, event, 99)
    assert (final.status, final.retryable) == (Status.REJECTED, False)
    assert after_placing.cancel(final) == []


def test_a_wish_to_cancel_makes_a_rejection_final() -> None:
    wished = domain.apply(PENDING, events.CancelRequested(), 11)
    (event,) = domain.reject(wished, "PAYMENT_UNAVAILABLE", final=False)
    assert not domain.apply(wished, event, 12).retryable


@pytest.mark.parametrize(
    "order",
    [
        after(PLACED, events.OrderRejected(1, "PAYMENT_DECLINED", retryable=False)),
        after(PLACED, events.OrderConfirmed("PAY-1"), events.OrderShipped()),
        after(PLACED, events.OrderConfirmed("PAY-1"), events.OrderShipped(), events.OrderDelivered()),
    ],
    ids=lambda order: order.status,
)
def test_what_cannot_be_cancelled(order: Order) -> None:
    with pytest.raises(DomainError) as refused:
        after_placing.cancel(order)
    assert refused.value.reason == "NOT_CANCELLABLE"


def test_an_order_about_to_be_cancelled_is_not_shipped() -> None:
    with pytest.raises(DomainError) as refused:
        after_placing.ship(domain.apply(CONFIRMED, events.CancelRequested(), 12))
    assert refused.value.reason == "NOT_SHIPPABLE"


def test_repeats_of_ship_and_deliver_change_nothing() -> None:
    shipped = domain.apply(SETTLED, events.OrderShipped(), 12)
    assert after_placing.ship(shipped) == []
    delivered = domain.apply(shipped, events.OrderDelivered(), 13)
    assert after_placing.deliver(delivered) == []


def test_refunds_only_add_up() -> None:
    refunded = domain.apply(SETTLED, events.RefundRecorded("PAY-1", 500), 12)
    assert refunded.refunded_total == 500
    assert after_placing.record_refund(refunded, "PAY-1", 400) == []
    assert after_placing.record_refund(refunded, "PAY-1", 600) == [events.RefundRecorded("PAY-1", 600)]
    assert after_placing.record_refund(RETRYABLE, "PAY-1", 600) == []


def test_a_refund_that_is_heard_of_before_the_confirmation_counts() -> None:
    (early,) = after_placing.record_refund(PENDING, "PAY-1", 500)
    assert after(PLACED, early).refunded_total == 0
    assert after(PLACED, early, events.OrderConfirmed("PAY-1")).refunded_total == 500


def test_a_refund_of_an_attempt_that_failed_is_not_the_orders() -> None:
    (early,) = after_placing.record_refund(PENDING, "PAY-1", 500)
    rejected = events.OrderRejected(1, "PAYMENT_UNAVAILABLE", retryable=True)
    second = after(PLACED, early, rejected, events.AttemptOpened(2), events.OrderConfirmed("PAY-2"))
    assert second.refunded_total == 0
    assert after_placing.record_refund(second, "PAY-1", 2405) == []


def test_an_illegal_event_is_refused() -> None:
    with pytest.raises(IllegalTransition):
        domain.apply(CONFIRMED, events.OrderRejected(1, "X", retryable=False), 12)


def test_the_diagram_is_drawn_from_the_table() -> None:
    assert "PENDING --> CONFIRMED: OrderConfirmed" in LIFE.diagram()


_INTEGERS = st.integers(-(2**63), 2**63 - 1)


def _built(kind: type[Event]) -> st.SearchStrategy[Event]:
    integers = {field.name: _INTEGERS for field in fields(kind) if field.type is int}
    return st.builds(kind, **integers)


def _events() -> st.SearchStrategy[Event]:
    items = st.tuples(st.builds(Item, st.text(max_size=5), st.integers(1, 1000), st.integers(0, 2**40)))
    return st.one_of(
        st.builds(OrderPlaced, st.text(), items, _INTEGERS, st.text(), st.text(), st.text()),
        *(_built(kind) for kind in EVENT_TYPES.values() if kind is not OrderPlaced),
    )


@given(_events())
def test_what_is_written_down_is_read_back(event: Event) -> None:
    assert events.event_of(_recorded(events.stored(event, 7))) == event


def _recorded(new: NewEvent) -> RecordedEvent:
    return RecordedEvent(1, "ORD-1", 1, new.type, new.payload, new.time, new.metadata)


def test_an_event_of_an_older_version_is_read_as_one_of_the_present() -> None:
    """Version 1 called the reason of a rejection `why`, and version 2 had no `retryable`."""
    types = EventTypes(
        EVENT_TYPES,
        {
            ("OrderRejected", 1): lambda old: {"attempt": old["attempt"], "reason": old["why"]},
            ("OrderRejected", 2): lambda old: {**old, "retryable": False},
        },
    )
    first = RecordedEvent(1, "ORD-1", 2, "OrderRejected", b'{"attempt":1,"why":"DECLINED"}', 7, {})
    second = RecordedEvent(1, "ORD-1", 2, "OrderRejected", b'{"attempt":1,"reason":"DECLINED"}', 7, {"version": 2})
    now = events.OrderRejected(1, "DECLINED", retryable=False)
    assert events.event_of(first, types) == events.event_of(second, types) == now
    assert events.event_of(_recorded(events.stored(now, 7, types)), types) == now
    assert events.stored(now, 7, types).metadata == {"version": 3}


def test_an_event_that_only_a_newer_version_knows_is_an_error() -> None:
    newer = RecordedEvent(1, "ORD-1", 2, "OrderGifted", b"{}", 7, {})
    with pytest.raises(UnknownEvent, match="no event 'OrderGifted' is known here"):
        events.event_of(newer)
    newer = RecordedEvent(1, "ORD-1", 2, "OrderShipped", b"{}", 7, {"version": 2})
    with pytest.raises(UnknownEvent, match="OrderShipped has version 2, and here 1 is known"):
        events.event_of(newer)


class Life(RuleBasedStateMachine):
    """Decisions in any order: the fold never fails, and once confirmed, an order is never rejected."""

    def __init__(self) -> None:
        super().__init__()
        self.order = PENDING
        self.was_confirmed = False
        self.time = 100

    def take(self, decided: list[Any]) -> None:
        for event in decided:
            self.time += 1
            self.order = domain.apply(self.order, event, self.time)
        self.was_confirmed |= self.order.status is Status.CONFIRMED

    def attempt(self, decision: Any) -> None:
        try:
            self.take(decision(self.order))
        except DomainError:
            return

    @precondition(lambda self: self.order.status is Status.PENDING)
    @rule(final=st.booleans())
    def reject(self, final: bool) -> None:
        self.take(domain.reject(self.order, "R", final=final))

    @precondition(lambda self: self.order.status is Status.PENDING)
    @rule()
    def confirm(self) -> None:
        self.take(domain.confirm(self.order, "PAY-1"))

    @precondition(lambda self: self.was_confirmed and not self.order.stock_committed)
    @rule()
    def finish(self) -> None:
        self.take(domain.finish_placing(self.order))

    @precondition(lambda self: self.order.status is Status.REJECTED and self.order.retryable)
    @rule()
    def reopen(self) -> None:
        self.take(domain.reopen(self.order))

    @precondition(lambda self: self.order.status is Status.CANCELLING)
    @rule()
    def finish_cancelling(self) -> None:
        self.take(after_placing.finish_cancelling(self.order))

    @rule(decision=st.sampled_from([after_placing.cancel, after_placing.ship, after_placing.deliver]))
    def decide(self, decision: Any) -> None:
        self.attempt(decision)

    @rule(refunded=st.integers(0, 3000))
    def refund(self, refunded: int) -> None:
        self.take(after_placing.record_refund(self.order, "PAY-1", min(refunded, self.order.total)))

    @invariant()
    def holds(self) -> None:
        assert not (self.was_confirmed and self.order.status is Status.REJECTED)
        assert 0 <= self.order.refunded_total <= (self.order.total if self.was_confirmed else 0)
        if self.order.status is Status.CANCELLED:
            assert self.order.refunded_total == self.order.total


TestLife = Life.TestCase
