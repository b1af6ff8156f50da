"""Retries: which, when, and how many."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from souk.kernel.errors import Outcome
from souk.resilience.backoff import Backoff
from souk.resilience.retry import Failure, Retry, RetryBudget, RetrySettings

AWAY = Failure(Outcome.UNKNOWN)
STEADY = RetrySettings(tries=3, backoff=Backoff(0.1, 1.0, jitter=0.0))


def delay(failure, *, tries=1, harmless=True, deadline=100.0, settings=STEADY):
    return Retry(settings).delay(0.0, deadline, tries, failure, harmless=harmless)


@pytest.mark.parametrize(
    ("failure", "again"),
    [
        (Failure(Outcome.UNKNOWN), True),
        (Failure(Outcome.UNKNOWN, transient=False), False),
        (Failure(Outcome.NOT_SENT), True),
        (Failure(Outcome.NOT_SENT, shed=True), False),
        (Failure(Outcome.REFUSED), False),
        (Failure(Outcome.DONE), False),
    ],
)
def test_only_what_may_end_otherwise_is_tried_again(failure, again):
    assert (delay(failure) is not None) is again


def test_what_may_do_harm_is_never_tried_again():
    assert delay(AWAY, harmless=False) is None


def test_delays_grow_and_tries_are_limited():
    assert [delay(AWAY, tries=n) for n in (1, 2, 3)] == [0.1, 0.2, None]


def test_never_past_the_deadline():
    assert delay(AWAY, deadline=0.11) == 0.1
    assert delay(AWAY, deadline=0.1) is None


def test_the_callees_advice_is_heeded():
    assert delay(Failure(Outcome.UNKNOWN, retry_after=2.5)) == 2.5
    assert delay(Failure(Outcome.UNKNOWN, retry_after=2.5), deadline=2.0) is None


def test_a_retry_that_is_not_made_costs_nothing():
    retry = Retry(RetrySettings(burst=1.0, per_second=0.0))
    assert retry.delay(0.0, 0.0, 1, AWAY, harmless=True) is None
    assert retry.delay(0.0, 9.0, 1, AWAY, harmless=True) is not None
    assert retry.delay(0.0, 9.0, 1, AWAY, harmless=True) is None


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0.0, 2.0)), max_size=300),
    st.floats(1.0, 20.0),
)
def test_retries_stay_within_the_budget(steps, burst):
    settings = RetrySettings(burst=burst)
    budget, now, calls, retries = RetryBudget(settings, 0.0), 0.0, 0, 0
    for is_call, wait in steps:
        now += wait
        if is_call:
            budget.call_made()
            calls += 1
        else:
            retries += budget.take(now)
        assert retries <= burst + 0.2 * calls + 3.0 * now + 1e-6


@given(st.integers(1, 500))
def test_when_everything_fails_a_fifth_more_is_sent_at_most(calls):
    retry, retries = Retry(RetrySettings(burst=5.0)), 0
    for _ in range(calls):
        retry.call_made()
        for tries in (1, 2):
            if retry.delay(0.0, 9.0, tries, AWAY, harmless=True) is None:
                break
            retries += 1
    assert retries <= 5 + 0.2 * calls + 1e-6


def test_a_clock_that_stands_still_or_falls_back_earns_nothing():
    budget = RetryBudget(RetrySettings(burst=1.0), 10.0)
    assert [budget.take(now) for now in (10.0, 9.0, 10.0, 10.5)] == [True, False, False, True]


@given(st.integers(0, 5000), st.floats(0.0, 1.0), st.integers(0, 2**32))
def test_backoff_stays_between_its_bounds(tries, jitter, seed):
    backoff = Backoff(0.1, 30.0, 2.0, jitter)
    wait = backoff.delay(tries, Random(seed))
    assert backoff.longest(tries) * (1 - jitter) <= wait <= backoff.longest(tries) <= 30.0
