"""The algorithm: against an oracle, against its own bound, and with clocks that jump."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from throttled import RateLimiterType, Throttled, rate_limiter, utils
from throttled.store import MemoryStore

from souk.gateway.limits.gcra import MICROSECONDS, Rate
from souk.gateway.limits.memory import MemoryQuotas
from souk.gateway.limits.policy import CountedBy, LimitPolicy
from souk.testing.clocks import FakeClock
from tests.properties import examples

RATES = st.builds(
    Rate,
    count=st.integers(1, 1_000),
    window=st.sampled_from([0.5, 1.0, 7.0, 60.0, 3_600.0]),
    burst=st.integers(1, 50),
)
PAUSES = st.lists(st.integers(0, 5 * MICROSECONDS), min_size=1, max_size=120)


def policy(rate: Rate) -> LimitPolicy:
    return LimitPolicy("one", rate, CountedBy.CALLER, frozenset())


@given(
    count=st.sampled_from([1, 2, 4, 8, 16, 32, 64]),
    burst=st.integers(1, 40),
    pauses=st.lists(st.integers(0, 64).map(lambda sixty_fourths: sixty_fourths * MICROSECONDS // 64), max_size=120),
)
@settings(max_examples=examples(200))
def test_it_decides_as_the_oracle_does(count: int, burst: int, pauses: list[int]) -> None:
    """All times are sums of sixty-fourths of a second, which the oracle's floats hold exactly."""
    clock = FakeClock(monotonic=0.0)
    ours = MemoryQuotas(clock)
    rate = Rate(count, 1.0, burst)
    with pytest.MonkeyPatch.context() as patch:
        now = [0]
        patch.setattr(utils, "now_mono_f", lambda: now[0] / MICROSECONDS)
        quota = rate_limiter.per_sec(count, burst=burst)
        theirs = Throttled(key="k", using=RateLimiterType.GCRA.value, quota=quota, store=MemoryStore())
        for pause in pauses:
            now[0] += pause
            clock._monotonic = now[0] / MICROSECONDS
            (mine,) = ours.take([(policy(rate), "k")])
            oracle = theirs.limit()
            assert (mine.wait > 0, mine.remaining) == (oracle.limited, oracle.state.remaining)
            assert mine.wait == pytest.approx(max(0.0, oracle.state.retry_after), abs=1e-6)
            assert mine.reset == pytest.approx(oracle.state.reset_after, abs=1e-6)


@given(rate=RATES, pauses=PAUSES)
@settings(max_examples=examples(300))
def test_no_span_has_more_than_burst_and_rate(rate: Rate, pauses: list[int]) -> None:
    clock = FakeClock(monotonic=0.0)
    quotas, now, admitted = MemoryQuotas(clock), 0, []
    for pause in pauses:
        now += pause
        clock._monotonic = now / MICROSECONDS
        (quota,) = quotas.take([(policy(rate), "k")])
        if not quota.wait:
            admitted.append(now)
    for first, begin in enumerate(admitted):
        for last, end in enumerate(admitted[first:], first):
            span = (end - begin) / MICROSECONDS
            assert last - first + 1 <= rate.burst + span * rate.count / rate.window + 1e-6


@given(rate=RATES, pauses=PAUSES)
@settings(max_examples=examples(100))
def test_what_it_says_comes_true(rate: Rate, pauses: list[int]) -> None:
    clock = FakeClock(monotonic=0.0)
    quotas, now = MemoryQuotas(clock), 0
    for pause in pauses:
        now += pause
        clock._monotonic = now / MICROSECONDS
        (quota,) = quotas.take([(policy(rate), "k")])
        if quota.wait:
            assert quota.remaining == 0
            clock._monotonic = (now + round(quota.wait * MICROSECONDS)) / MICROSECONDS + 1e-9
            (later,) = quotas.take([(policy(rate), "k")])
            assert later.wait == 0
            now += round(quota.wait * MICROSECONDS)
        else:
            for _ in range(quota.remaining):
                (more,) = quotas.take([(policy(rate), "k")])
                assert more.wait == 0
            (beyond,) = quotas.take([(policy(rate), "k")])
            assert beyond.wait > 0
        assert quotas.take([(policy(rate), f"other-{now}")])[0].wait == 0


def test_a_clock_that_goes_back_locks_nobody_out_for_longer_than_a_full_bucket_takes() -> None:
    clock = FakeClock(monotonic=1_000_000.0)
    quotas, one = MemoryQuotas(clock), policy(Rate(10, 10.0))
    for _ in range(11):
        quotas.take([(one, "k")])
    clock._monotonic = 5.0
    (quota,) = quotas.take([(one, "k")])
    assert 0 < quota.wait <= 1.0
    clock.advance(1.01)
    assert quotas.take([(one, "k")])[0].wait == 0


def test_a_clock_that_goes_forward_opens_the_limit_for_one_burst_alone() -> None:
    clock = FakeClock(monotonic=5.0)
    quotas, one = MemoryQuotas(clock), policy(Rate(10, 10.0))
    for _ in range(11):
        quotas.take([(one, "k")])
    clock._monotonic = 1_000_000.0
    assert [quotas.take([(one, "k")])[0].wait > 0 for _ in range(11)] == [False] * 10 + [True]


@pytest.mark.parametrize(("count", "window", "burst"), [(0, 1.0, 0), (1, 0.0, 0), (-1, 1.0, 0), (1, 1.0, -1)])
def test_an_impossible_rate_is_refused(count: int, window: float, burst: int) -> None:
    with pytest.raises(ValueError, match="a count and a burst from 1"):
        Rate(count, window, burst)


def test_a_rate_beyond_what_microseconds_tell_apart_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 10000 requests a second"):
        Rate(20_001, 2.0)
