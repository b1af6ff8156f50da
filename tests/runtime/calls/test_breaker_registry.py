"""Breakers of a process, as an operator sees and sets them."""

import pytest

from souk.resilience.breaker.breaker import Breaker, State
from souk.runtime.calls.breaker_registry import Breakers, Mode
from souk.testing.clocks import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def breakers(clock: FakeClock) -> Breakers:
    return Breakers(clock)


def trip(breaker: Breaker, clock: FakeClock) -> None:
    for _ in range(4):
        permit = breaker.acquire(clock.monotonic())
        assert permit is not None
        permit.fail(clock.monotonic())


FORCED = {
    Mode.CLOSED: State.CLOSED,
    Mode.DISABLED: State.DISABLED,
    Mode.FORCED_OPEN: State.FORCED_OPEN,
    Mode.METRICS_ONLY: State.METRICS_ONLY,
}


@pytest.mark.parametrize(("mode", "state"), FORCED.items())
def test_a_breaker_is_set_and_judges_by_itself_again(breakers: Breakers, mode: Mode, state: State) -> None:
    breaker = breakers.add("order", "payment", Breaker())
    assert [guard.breaker for guard in breakers.set(mode, "payment")] == [breaker]
    assert breaker.state is state
    breakers.set(Mode.AUTO, "payment")
    assert breaker.state is State.CLOSED


def test_one_that_opened_by_itself_is_left_open_by_auto_and_closed_by_closed(
    breakers: Breakers, clock: FakeClock
) -> None:
    breaker = breakers.add("order", "payment", Breaker.textbook())
    trip(breaker, clock)
    breakers.set(Mode.AUTO, "payment")
    assert breaker.state is State.OPEN
    breakers.set(Mode.CLOSED, "payment")
    assert breaker.state is State.CLOSED
    trip(breaker, clock)
    assert breaker.state is State.OPEN


def test_all_scopes_between_the_two_are_meant(breakers: Breakers) -> None:
    meant = [
        breakers.add("order", "payment", Breaker()),
        breakers.add("order", "payment", Breaker(), method="Charge"),
    ]
    others = [breakers.add("user", "payment", Breaker()), breakers.add("order", "inventory", Breaker())]
    assert len(breakers.set(Mode.FORCED_OPEN, "payment", "order")) == 2
    assert {breaker.state for breaker in meant} == {State.FORCED_OPEN}
    assert {breaker.state for breaker in others} == {State.CLOSED}


def test_what_was_set_holds_for_breakers_that_are_made_later(breakers: Breakers) -> None:
    breakers.set(Mode.FORCED_OPEN, "payment")
    breakers.set(Mode.DISABLED, "payment", "user")
    assert breakers.add("order", "payment", Breaker()).state is State.FORCED_OPEN
    assert breakers.add("user", "payment", Breaker()).state is State.DISABLED
    breakers.set(Mode.AUTO, "payment")
    assert breakers.add("user", "payment", Breaker(), method="Charge").state is State.CLOSED


def test_they_are_told_in_order_of_their_names(breakers: Breakers) -> None:
    for caller, callee in (("user", "a"), ("order", "b"), ("order", "a")):
        breakers.add(caller, callee, Breaker())
    assert [(guard.caller, guard.callee) for guard in breakers] == [("order", "a"), ("order", "b"), ("user", "a")]
