"""The balancer: choices, and instances that are left out."""

from collections import Counter
from random import Random

import pytest

from souk.resilience.backoff import Backoff
from souk.resilience.balancer import Balancer, BalancerMember, BalancerSettings, EjectionSettings
from souk.resilience.choices import at_random, round_robin, two_choices

SETTINGS = BalancerSettings(EjectionSettings(failures=3, ejected_for=Backoff(10.0, 40.0, jitter=0.0), most=0.5))


def balancer(*addresses, choice=None):
    balancer = Balancer(choice or round_robin(), SETTINGS)
    balancer.update([BalancerMember(address) for address in addresses], 0.0)
    return balancer


def counts(balancer, times, now=0.0, avoid=()):
    """Counts the calls that each instance gets, out of so many in turn."""
    picked = Counter()
    for _ in range(times):
        instance = balancer.pick(now, avoid)
        picked[instance.address] += 1
        balancer.ended(instance, now, False)
    return picked


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
    two.update([BalancerMember("a"), BalancerMember("b"), BalancerMember("c")], 0.0)
    assert two.ejected(0.0) == ["a"]
    two.update([BalancerMember("c")], 0.0)
    two.update([BalancerMember("a"), BalancerMember("c")], 0.0)
    assert two.ejected(0.0) == []


CHOICES = {
    "two choices": lambda: two_choices(Random(7)),
    "at random": lambda: at_random(Random(7)),
    "turns": round_robin,
}


@pytest.fixture(params=list(CHOICES))
def choice(request):
    return CHOICES[request.param]()


def test_one_that_joins_others_gets_its_share_slowly(choice):
    balancer = Balancer(choice, BalancerSettings(warm_up=10.0))
    balancer.update([BalancerMember("a"), BalancerMember("b")], 0.0)
    balancer.update([BalancerMember("a"), BalancerMember("b"), BalancerMember("new")], 100.0)
    held = [balancer.pick(100.0) for _ in range(60)]
    assert 0 < sum(instance.address == "new" for instance in held) <= 6
    for instance in held:
        balancer.ended(instance, 100.0, False)
    later = [balancer.pick(110.0).address for _ in range(300)]
    assert 60 <= later.count("new") <= 140


def test_the_first_instances_need_not_warm_up(choice):
    balancer = Balancer(choice, BalancerSettings(warm_up=10.0))
    balancer.update([BalancerMember("a")], 0.0)
    assert balancer.pick(0.0).share == 1.0


def test_a_weight_is_a_share_of_the_calls(choice):
    balancer = Balancer(choice)
    balancer.update([BalancerMember("a", weight=1), BalancerMember("b", weight=3)], 0.0)
    picked = Counter(balancer.pick(0.0).address for _ in range(400))
    assert 260 <= picked["b"] <= 340


def test_turns_are_spread_evenly():
    balancer = Balancer(round_robin())
    balancer.update([BalancerMember("a", weight=2), BalancerMember("b"), BalancerMember("c")], 0.0)
    assert "".join(balancer.pick(0.0).address for _ in range(8)) == "abcaabca"


def zones(**settings):
    balancer = Balancer(round_robin(), BalancerSettings(SETTINGS.ejection, zone="here", **settings))
    members = [
        BalancerMember("a", "here"),
        BalancerMember("b", "here"),
        BalancerMember("c", "here"),
        BalancerMember("d", "there"),
    ]
    balancer.update(members, 0.0)
    return balancer


def test_the_same_zone_is_preferred_while_enough_of_it_is_well():
    balancer = zones()
    assert set(counts(balancer, 30)) == {"a", "b", "c"}
    fail(balancer, "a", 3)
    assert set(counts(balancer, 30)) == {"b", "c"}
    fail(balancer, "b", 3)
    assert set(counts(balancer, 30)) == {"c", "d"}


def test_without_anybody_in_the_zone_others_are_called():
    balancer = Balancer(round_robin(), BalancerSettings(zone="elsewhere"))
    balancer.update([BalancerMember("a", "here"), BalancerMember("b", "there")], 0.0)
    assert set(counts(balancer, 10)) == {"a", "b"}


def subset_of(name, addresses):
    balancer = Balancer(round_robin(), BalancerSettings(subset=5, name=name))
    balancer.update([BalancerMember(address) for address in addresses], 0.0)
    return set(balancer.addresses())


def test_of_many_a_caller_uses_a_few_and_each_caller_others():
    fleet = [f"10.0.0.{number}:80" for number in range(40)]
    subsets = [subset_of(f"order-{caller}", fleet) for caller in range(80)]
    assert {len(subset) for subset in subsets} == {5}
    used = Counter(address for subset in subsets for address in subset)
    assert len(used) == 40
    assert max(used.values()) <= 25


def test_a_subset_hardly_changes_when_one_comes_or_goes():
    fleet = [f"10.0.0.{number}:80" for number in range(40)]
    before = subset_of("order-1", fleet)
    leaving = next(iter(before))
    assert len(before & subset_of("order-1", [address for address in fleet if address != leaving])) == 4
    assert len(before & subset_of("order-1", [*fleet, "10.0.1.1:80"])) >= 4
