"""Differences, and what is believed while a registry is young."""

from hypothesis import given
from hypothesis import strategies as st

from souk.discovery.diff import Memory, applied, by_id, differences
from souk.discovery.registry import Changed, Instance, Joined, Left


def one(name: str, weight: int = 1) -> Instance:
    return Instance("order", name, "127.0.0.1:1", weight=weight)


KNOWN = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 3)).map(
    lambda weights: by_id(one(name, weight) for name, weight in weights.items())
)


@given(KNOWN, KNOWN)
def test_whoever_hears_the_differences_knows_the_same(before: dict[str, Instance], after: dict[str, Instance]) -> None:
    known = dict(before)
    for change in differences(before, after):
        known = applied(known, change)
    assert known == after
    assert differences(after, dict(after)) == []


def test_what_is_there_is_told_before_what_has_left() -> None:
    before, after = by_id([one("a"), one("b")]), by_id([one("b", 2), one("c")])
    assert differences(before, after) == [Changed(one("b", 2)), Joined(one("c")), Left(one("a"))]


def test_a_young_life_takes_nothing_from_what_an_earlier_one_knew() -> None:
    memory = Memory()
    assert set(memory.receive("first", False, [one("a"), one("b")])) == {"a", "b"}
    assert set(memory.receive("second", False, [])) == {"a", "b"}
    assert set(memory.receive("second", False, [one("c")])) == {"a", "b", "c"}
    assert memory.receive("second", False, [one("a", 2), one("c")])["a"].weight == 2
    # It was seen in this life, so its absence is news.
    assert set(memory.receive("second", False, [one("c")])) == {"b", "c"}
    assert set(memory.receive("second", True, [one("c")])) == {"c"}
    assert memory.known == by_id([one("c")])


def test_a_registry_that_restarts_twice_still_takes_nothing() -> None:
    memory = Memory()
    memory.receive("first", True, [one("a")])
    memory.receive("second", False, [one("b")])
    assert set(memory.receive("third", False, [])) == {"a", "b"}


def test_who_leaves_a_young_life_has_left() -> None:
    memory = Memory()
    memory.receive("first", False, [one("a")])
    assert memory.receive("first", False, []) == {}
