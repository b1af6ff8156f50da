"""The axis of time: what happened late squeezes nothing, and every moment is somewhere."""

import itertools

import pytest

from souk.console.pages.subject.time_scale import STEPS, AxisWindow, TimeScale, time_scale
from souk.kernel.clock import MICROSECONDS as SECOND

MS = SECOND // 1_000
EDGES = (300.0, 1_000.0)
ROOM = EDGES[1] - EDGES[0]


def scale(*busy: tuple[int, int], origin: int = 0) -> TimeScale:
    window = AxisWindow(min(since for since, _ in busy), max(until for _, until in busy))
    return time_scale(window, busy, EDGES, origin)


def test_one_late_record_squeezes_nothing() -> None:
    found = scale((0, 120 * MS), (17 * SECOND, 17 * SECOND))
    (fold,) = found.folds
    assert (fold.since, fold.until) == (120 * MS, 17 * SECOND)
    assert found.across(120 * MS) - found.across(0) > 0.85 * ROOM
    assert found.across(60 * MS) == pytest.approx((found.across(0) + found.across(120 * MS)) / 2)
    assert found.across(17 * SECOND) == EDGES[1]


def test_every_long_time_is_folded_not_the_longest_alone() -> None:
    found = scale((0, 100 * MS), (10 * SECOND, 10 * SECOND + 50 * MS), (3_600 * SECOND, 3_600 * SECOND))
    assert [one.took for one in found.folds] == [10 * SECOND - 100 * MS, 3_590 * SECOND - 50 * MS]
    widths = {round(one.end - one.x) for one in found.folds}
    assert len(widths) == 1, "a fold is as wide as another, however long it was"


def test_many_folds_leave_half_of_the_axis() -> None:
    found = scale(*((at * 60 * SECOND, at * 60 * SECOND + MS) for at in range(40)))
    assert len(found.folds) == 39
    assert sum(one.end - one.x for one in found.folds) == pytest.approx(ROOM / 2)


@pytest.mark.parametrize(
    "busy",
    [
        [(at * SECOND, at * SECOND) for at in range(5)],
        [(0, 17 * SECOND), (4 * SECOND, 5 * SECOND)],
        [(0, 5 * MS), (60 * MS, 60 * MS)],
        [(7, 7)],
    ],
    ids=["evenly spread", "one thing goes on", "shorter than what is ever folded", "one moment"],
)
def test_nothing_is_folded(busy: list[tuple[int, int]]) -> None:
    assert scale(*busy).folds == []


def test_positions_are_moments_in_their_order() -> None:
    found = scale((0, 120 * MS), (17 * SECOND, 17 * SECOND + 30 * MS))
    moments = [found.moment(position) for position in range(STEPS + 1)]
    assert moments == sorted(moments)
    assert (moments[0], moments[-1]) == (0, 17 * SECOND + 30 * MS)
    assert [found.position(at) for at in moments] == pytest.approx(range(STEPS + 1), abs=1)
    assert found.moment(STEPS + 5) == found.window.last


def test_ticks_are_round_and_stand_apart_outside_of_folds() -> None:
    found = scale((1 * SECOND, 1 * SECOND + 120 * MS), (18 * SECOND, 18 * SECOND), origin=1 * SECOND)
    offsets = [since for since, _ in found.ticks]
    assert offsets == [*range(0, 121 * MS, 20 * MS), 17 * SECOND]
    drawn = [x for _, x in found.ticks]
    assert all(after - before >= 54 for before, after in itertools.pairwise(drawn))
    assert drawn == [found.across(1 * SECOND + since) for since in offsets]
