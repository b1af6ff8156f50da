"""Where moments are on a drawn axis. Times in which nothing happened, and which would take most of it, are folded."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from souk.kernel.clock import MICROSECONDS

STEPS = 1_000
"""Positions on the axis that can be chosen."""
LEAST_FOLDED = MICROSECONDS // 10
"""Microseconds that are never folded."""
MOST_TIMES = 3
"""A time in which nothing happened is folded if it is so many times longer than all that is drawn without it."""
_FOLD, _MOST_FOLDED = 72.0, 0.5
"""The width of a fold, and the share of the axis that all of them may have."""
_TICKS, _CLOSE = 80.0, 54.0
"""The least distance between two round ticks, and between any two."""
_NICE = [unit * 10**power for power in range(16) for unit in (1, 2, 5)]


@dataclass(frozen=True, slots=True)
class AxisWindow:
    """What is shown of the time, from `first` to `last`, in microseconds since 1970."""

    first: int
    last: int

    def has(self, at: int) -> bool:
        """Tells whether a moment is shown."""
        return self.first <= at <= self.last


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the axis, from `x` to `end`, and the time that it shows; nothing happened in a `folded` one."""

    since: int
    until: int
    x: float
    end: float
    folded: bool

    @property
    def took(self) -> int:
        """How long it is, in microseconds."""
        return self.until - self.since


@dataclass(frozen=True, slots=True)
class TimeScale:
    """Stretches side by side, from the left to the right; those that are not folded have one scale."""

    window: AxisWindow
    stretches: Sequence[Stretch]
    ticks: Sequence[tuple[int, float]] = field(default=())

    @property
    def folds(self) -> Sequence[Stretch]:
        """The stretches that are folded."""
        return [one for one in self.stretches if one.folded]

    def across(self, at: int) -> float:
        """Returns where a moment is; one outside is at the edge."""
        one = next((one for one in self.stretches if at <= one.until), self.stretches[-1])
        part = (min(max(at, one.since), one.until) - one.since) / max(1, one.took)
        return round(one.x + part * (one.end - one.x), 1)

    def position(self, at: int) -> int:
        """Returns the position of a moment, 0 to STEPS."""
        left, right = self.stretches[0].x, self.stretches[-1].end
        return round((self.across(at) - left) / (right - left) * STEPS)

    def moment(self, position: int) -> int:
        """Returns the moment at a position; the first and the last ones are those of the window."""
        left, right = self.stretches[0].x, self.stretches[-1].end
        x = left + (right - left) * min(max(position, 0), STEPS) / STEPS
        if position >= STEPS:
            return self.window.last
        one = next((one for one in self.stretches if x <= one.end), self.stretches[-1])
        return one.since + round((x - one.x) / max(1e-9, one.end - one.x) * one.took)


def time_scale(
    window: AxisWindow, busy: Iterable[tuple[int, int]], edges: tuple[float, float], origin: int | None = None
) -> TimeScale:
    """Lays a window out between two edges; in the times of `busy` something happened, and ticks count from `origin`."""
    together = _together(window, busy)
    folded = _folded(together)
    cuts = [window.first, *(moment for gap in folded for moment in gap), window.last]
    drawn = max(1, window.last - window.first - sum(until - since for since, until in folded))
    left, room = edges[0], edges[1] - edges[0]
    fold = min(_FOLD, room * _MOST_FOLDED / max(1, len(folded)))
    per = (room - fold * len(folded)) / drawn
    stretches: list[Stretch] = []
    for number, (since, until) in enumerate(pairwise(cuts)):
        end = edges[1] if until == window.last else left + (fold if number % 2 else per * (until - since))
        stretches.append(Stretch(since, until, left, end, bool(number % 2)))
        left = end
    return TimeScale(window, stretches, _ticks(stretches, _TICKS / per, window.first if origin is None else origin))


def _ticks(stretches: Sequence[Stretch], least: float, origin: int) -> list[tuple[int, float]]:
    """Gives the times since `origin` that are written at the axis: round ones, and where a stretch begins."""
    step = next(nice for nice in _NICE if nice >= least)
    found: list[tuple[int, float]] = []
    for one in stretches:
        round_ones = range(origin + -(-(one.since - origin) // step) * step, one.until + 1, step)
        for at in () if one.folded else (one.since, *round_ones):
            x = one.x + (at - one.since) / max(1, one.took) * (one.end - one.x)
            if not found or x - found[-1][1] >= _CLOSE:
                found.append((at - origin, round(x, 1)))
    return found


def _together(window: AxisWindow, busy: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Joins times that overlap, within a window."""
    found: list[tuple[int, int]] = [(window.first, window.first)]
    for since, until in sorted([*busy, (window.last, window.last)]):
        if until < window.first or since > window.last:
            continue
        since, until = max(since, window.first), min(until, window.last)
        if since <= found[-1][1]:
            found[-1] = found[-1][0], max(until, found[-1][1])
        else:
            found.append((since, until))
    return found


def _folded(together: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Chooses the times between others that are folded: from the shortest one on that is too long beside the rest."""
    gaps = sorted(((before[1], after[0]) for before, after in pairwise(together)), key=lambda gap: gap[1] - gap[0])
    drawn = sum(until - since for since, until in together)
    for number, (since, until) in enumerate(gaps):
        if drawn and until - since >= LEAST_FOLDED and until - since > MOST_TIMES * drawn:
            return sorted(gaps[number:])
        drawn += until - since
    return []
