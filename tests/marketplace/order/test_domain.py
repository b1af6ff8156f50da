"""The life of an order: what may happen to it, in which order, and what its log says."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from marketplace.order import domain
from marketplace.order.domain import LIFE, Event, Item, Order, OrderPlaced, Status
from souk.kernel.errors import DomainError
from souk.kernel.state_machine import IllegalTransition

ITEMS = (Item("P-1", 2, 1200), Item("P-2", 1, 5))
PLACED = OrderPlaced("U-1", ITEMS, 2405, "EUR", "ADDR-1", "card")


def after(*events: Event) -> Order:
    return domain.fold("ORD-1", [(event, 10 + place) for place, event in enumerate(events)])


PENDING = after(PLACED)
CONFIRMED = after(PLACED, domain.OrderConfirmed("PAY-1"))
SETTLED = after(PLACED, domain.OrderConfirmed("PAY-1"), domain.StockCommitted())
RETRYABLE = after(PLACED, domain.OrderRejected(1, "PAYMENT_UNAVAILABLE", retryable=True))


def test_total_is_price_times_quantity() -> None:
    assert domain.total_of(ITEMS) == 2405


def test_a_wish_to_cancel_while_pending_takes_effect_when_placing_has_ended() -> None:
    wished = after(PLACED, *domain.cancel(PENDING), domain.OrderConfirmed("PAY-1"))
    assert wished.status is Status.CONFIRMED
    assert domain.finish_placing(wished) == [domain.StockCommitted(), domain.CancellationStarted()]


def test_a_confirmed_order_whose_stock_is_not_sold_yet_waits_with_cancelling() -> None:
    assert domain.cancel(CONFIRMED) == [domain.CancelRequested()]
    assert domain.cancel(SETTLED) == [domain.CancelRequested(), domain.CancellationStarted()]


def test_cancelling_a_retryable_rejection_makes_it_final_and_a_repeat_changes_nothing() -> None:
    (event,) = domain.cancel(RETRYABLE)
    final = domain.apply(RETRYABLE, event, 99)
    assert (final.status, final.retryable) == (Status.REJECTED, False)
    assert domain.cancel(final) == []


def test_a_wish_to_cancel_makes_a_rejection_final() -> None:
    wished = domain.apply(PENDING, domain.CancelRequested(), 11)
    (event,) = domain.reject(wished, "PAYMENT_UNAVAILABLE", final=False)
    assert not domain.apply(wished, event, 12).retryable


@pytest.mark.parametrize(
    "order",
    [
        after(PLACED, domain.OrderRejected(1, "PAYMENT_DECLINED", retryable=False)),
        after(PLACED, domain.OrderConfirmed("PAY-1"), domain.OrderShipped()),
        after(PLACED, domain.OrderConfirmed("PAY-1"), domain.OrderShipped(), domain.OrderDelivered()),
    ],
    ids=lambda order: order.status,
)
def test_what_cannot_be_cancelled(order: Order) -> None:
    with pytest.raises(DomainError) as refused:
        domain.cancel(order)
    assert refused.value.reason == "NOT_CANCELLABLE"


def test_an_order_about_to_be_cancelled_is_not_shipped() -> None:
    with pytest.raises(DomainError) as refused:
        domain.ship(domain.apply(CONFIRMED, domain.CancelRequested(), 12))
    assert refused.value.reason == "NOT_SHIPPABLE"


def test_repeats_of_ship_and_deliver_change_nothing() -> None:
    shipped = domain.apply(SETTLED, domain.OrderShipped(), 12)
    assert domain.ship(shipped) == []
    delivered = domain.apply(shipped, domain.OrderDelivered(), 13)
    assert domain.deliver(delivered) == []


def test_refunds_only_add_up() -> None:
    refunded = domain.apply(SETTLED, domain.RefundRecorded(500), 12)
    assert domain.record_refund(refunded, 400) == []
    assert domain.record_refund(refunded, 600) == [domain.RefundRecorded(600)]
    assert domain.record_refund(RETRYABLE, 600) == []


def test_an_illegal_event_is_refused() -> None:
    with pytest.raises(IllegalTransition):
        domain.apply(CONFIRMED, domain.OrderRejected(1, "X", retryable=False), 12)


def test_the_diagram_is_drawn_from_the_table() -> None:
    assert "PENDING --> CONFIRMED: OrderConfirmed" in LIFE.diagram()


def _events() -> st.SearchStrategy[Event]:
    items = st.tuples(st.builds(Item, st.text(max_size=5), st.integers(1, 1000), st.integers(0, 2**40)))
    return st.one_of(
        st.builds(OrderPlaced, st.text(), items, st.integers(), st.text(), st.text(), st.text()),
        *(st.from_type(kind) for kind in domain.EVENT_TYPES.values() if kind is not OrderPlaced),
    )


@given(_events())
def test_what_is_written_down_is_read_back(event: Event) -> None:
    assert domain.from_data(type(event).__name__, domain.to_data(event)) == event


class Life(RuleBasedStateMachine):
    """Decisions in any order: the fold never fails, and once confirmed, an order is never rejected."""

    def __init__(self) -> None:
        super().__init__()
        self.order = PENDING
        self.was_confirmed = False
        self.time = 100

    def take(self, events: list[Any]) -> None:
        for event in events:
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
        self.take(domain.finish_cancelling(self.order))

    @rule(decision=st.sampled_from([domain.cancel, domain.ship, domain.deliver]))
    def decide(self, decision: Any) -> None:
        self.attempt(decision)

    @rule(refunded=st.integers(0, 3000))
    def refund(self, refunded: int) -> None:
        self.take(domain.record_refund(self.order, min(refunded, self.order.total)))

    @invariant()
    def holds(self) -> None:
        assert not (self.was_confirmed and self.order.status is Status.REJECTED)
        assert 0 <= self.order.refunded_total <= (self.order.total if self.was_confirmed else 0)
        if self.order.status is Status.CANCELLED:
            assert self.order.refunded_total == self.order.total


TestLife = Life.TestCase
