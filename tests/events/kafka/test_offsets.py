"""A commit never passes an event that is in hand, and passes everything before it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from souk.events.brokers.kafka.offsets import OffsetTracker
from tests.properties import examples


@settings(max_examples=examples(300))
@given(st.sets(st.integers(0, 1_000), min_size=1, max_size=30), st.data())
def test_the_position_is_behind_the_longest_prefix_that_was_handled(offsets: set[int], data: st.DataObject) -> None:
    tracker, taken = OffsetTracker(), list[int]()
    waiting, handled = sorted(offsets), set[int]()
    while waiting or len(handled) < len(taken):
        in_hand = [offset for offset in taken if offset not in handled]
        if waiting and (not in_hand or data.draw(st.booleans())):
            taken.append(waiting.pop(0))
            tracker.take(taken[-1])
        else:
            offset = data.draw(st.sampled_from(in_hand))
            handled.add(offset)
            tracker.handled(offset)
        prefix = next((at for at, offset in enumerate(taken) if offset not in handled), len(taken))
        assert tracker.position == (taken[prefix - 1] + 1 if prefix else None)
        assert tracker.in_hand == len(taken) - prefix
    assert tracker.position == max(offsets) + 1


@settings(max_examples=examples(200))
@given(st.permutations(range(12)), st.lists(st.sampled_from(["commit", "fail"]), min_size=12, max_size=12))
def test_a_position_is_committed_once_and_again_after_a_failure(order: list[int], after: list[str]) -> None:
    tracker, broker = OffsetTracker(), 0
    for offset in range(12):
        tracker.take(offset)
    for offset, then in zip(order, after, strict=True):
        tracker.handled(offset)
        due = tracker.to_commit()
        assert tracker.to_commit() is None
        if due is not None:
            assert due >= broker
            assert due == tracker.position
        if then == "fail":
            tracker.commit_failed()
        else:
            broker = due or broker
    assert (tracker.to_commit() or broker) == 12


def test_nothing_is_committed_before_the_first_was_handled() -> None:
    tracker = OffsetTracker()
    tracker.take(7)
    tracker.take(9)
    tracker.handled(9)
    assert tracker.to_commit() is None
    tracker.handled(7)
    assert tracker.to_commit() == 10


def test_offsets_rise() -> None:
    tracker = OffsetTracker()
    tracker.take(7)
    assert not tracker.follows(7)
    assert tracker.follows(8)
    with pytest.raises(ValueError, match="7"):
        tracker.take(7)
