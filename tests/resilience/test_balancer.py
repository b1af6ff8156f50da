"""The balancer: choices, and instances that are left out."""

from collections import Counter
from random import Random

import pytest

from souk.resilience.backoff import Backoff
from souk.resilience.balancer import Balancer, EjectionSettings, at_random, round_robin, two_choices

SETTINGS = EjectionSettings(failures=3, ejected_for=Backoff(10.0, 40.0, jitter=0.0), most=0.5)


def balancer(*addresses, choice=None):
    balancer = Balancer(choice or round_robin(), SETTINGS)
    balancer.update(addresses)
    return balancer


def fail(balancer, address, times, now=0.0):
    others = {instance for instance in "abcd" if instance != address}
    for _ in range(times):
        instance = balancer.pick(now, others)
        balancer.ended(instance, now, True)


def test_nobody_is_there():
    assert balancer().pick(0.0) is None


def test_round_robin_takes_turns():
    even = balancer("a", "b", "c")
    assert Counter(even.pick(0.0).address for _ in range(30)) == {"a": 10, "b": 10, "c": 10}


def test_at_random_reaches_all():
    any_of = balancer("a", "b", "c", choice=at_random(Random(1)))
    assert {any_of.pick(0.0).address for _ in range(100)} == {"a", "b", "c"}


def test_two_choices_never_takes_the_busiest():
    busy = balancer("a", "b", "c", choice=two_choices(Random(1)))
    picked = [busy.pick(0.0) for _ in range(300)]
    counts = Counter(instance.address for instance in picked)
    assert max(counts.values()) - min(counts.values()) <= 3
    for instance in picked:
        busy.ended(instance, 0.0, False)
    assert {instance.outstanding for instance in picked} == {0}


def test_what_is_to_be_avoided_is_taken_only_if_there_is_nothing_else():
    two = balancer("a", "b")
    assert {two.pick(0.0, {"a"}).address for _ in range(10)} == {"b"}
    assert two.pick(0.0, {"a", "b"}) is not None


def test_failures_in_a_row_eject_for_a_while_and_longer_each_time():
    four = balancer("a", "b", "c", "d")
    fail(four, "a", 2)
    assert four.ejected(0.0) == []
    fail(four, "a", 1)
    assert four.ejected(9.9) == ["a"]
    assert {four.pick(9.9).address for _ in range(20)} == {"b", "c", "d"}
    assert four.ejected(10.0) == []
    fail(four, "a", 3, now=10.0)
    assert (four.ejected(29.9), four.ejected(30.0)) == (["a"], [])
    fail(four, "a", 3, now=100.0)  # it was well for long
    assert (four.ejected(109.9), four.ejected(110.0)) == (["a"], [])


@pytest.mark.parametrize(("answer", "ejected"), [(False, []), (None, ["a"])])
def test_an_answer_forgives_and_silence_does_not(answer, ejected):
    two = balancer("a", "b")
    fail(two, "a", 2)
    two.ended(two.pick(0.0, {"b"}), 0.0, answer)
    fail(two, "a", 1)
    assert two.ejected(0.0) == ejected


def test_never_more_than_a_part_is_ejected():
    for addresses, most in (("a", 0), ("ab", 1), ("abc", 1), ("abcd", 2)):
        some = balancer(*addresses)
        for address in addresses:
            fail(some, address, 9)
        assert len(some.ejected(0.0)) == most
        assert some.pick(0.0) is not None


def test_instances_that_stay_keep_their_history():
    two = balancer("a", "b")
    fail(two, "a", 3)
    two.update(["a", "b", "c"])
    assert two.ejected(0.0) == ["a"]
    two.update(["c"])
    two.update(["a", "c"])
    assert two.ejected(0.0) == []
