"""Counting in memory: all or nothing, giving back, and a bounded number of keys."""

from souk.descriptors.contract import RateClass
from souk.gateway.limits.gcra import Rate
from souk.gateway.limits.memory import MemoryQuotas
from souk.gateway.limits.policy import CountedBy, LimitPolicy
from souk.testing.clocks import FakeClock

READS = frozenset({RateClass.READ})
WIDE = LimitPolicy("wide", Rate(10, 10.0), CountedBy.ADDRESS, READS)
NARROW = LimitPolicy("narrow", Rate(2, 10.0), CountedBy.CALLER, READS)


def test_a_request_that_one_limit_refuses_uses_up_no_other() -> None:
    quotas = MemoryQuotas(FakeClock())
    both = [(WIDE, "a"), (NARROW, "u")]
    assert [[quota.wait > 0 for quota in quotas.take(both)] for _ in range(5)] == [[False, False]] * 2 + [
        [False, True]
    ] * 3
    wide, narrow = quotas.take(both)
    assert (wide.remaining, narrow.remaining) == (8, 0)
    (alone,) = quotas.take([(WIDE, "a")])
    assert alone.remaining == 7


def test_what_is_given_back_can_be_taken_again() -> None:
    quotas = MemoryQuotas(FakeClock())
    for _ in range(50):
        (quota,) = quotas.take([(NARROW, "u")])
        assert quota.remaining == 1
        quotas.give_back([(NARROW, "u")])


def test_the_number_of_keys_is_bounded_and_who_is_limited_stays_so() -> None:
    clock = FakeClock()
    quotas = MemoryQuotas(clock, most_keys=100)
    for _ in range(3):
        quotas.take([(NARROW, "greedy")])
    for number in range(5_000):
        quotas.take([(NARROW, f"flood-{number}")])
        assert len(quotas._tables["narrow"].times) <= 100
    assert quotas.take([(NARROW, "greedy")])[0].wait > 0


def test_keys_whose_time_has_come_are_dropped_first() -> None:
    clock = FakeClock()
    quotas = MemoryQuotas(clock, most_keys=100)
    for number in range(99):
        quotas.take([(NARROW, f"old-{number}")])
    clock.advance(9.0)
    quotas.take([(NARROW, "young")])
    quotas.take([(NARROW, "new")])
    assert set(quotas._tables["narrow"].times) == {"young", "new"}
