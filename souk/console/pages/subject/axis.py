"""Lays out what was recorded, and the spans under it, on one time axis."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from souk.console.pages.subject.entries import Entry
from souk.console.pages.subject.time_scale import AxisWindow, TimeScale, time_scale
from souk.console.pages.subject.traces import SubjectTraces
from souk.console.telemetry.traces.shown_trace import ShownSpan

WIDTH, LANE, ROW, LABELS, HEAD = 1_000, 28, 16, 280, 38
"""The drawn axis: its width, the heights of a lane and of a span, the width of their names, and the height above."""
MOST_SPANS = 150
"""Spans that are drawn; a trace with more has a page of its own."""
_INDENT, _DEEPEST, _LETTER = 10, 6, 6.6
_PACKAGE = re.compile(r"\b(?:[a-z]\w*\.)+(?=[A-Z])")
"""The package before the name of a service or of an event."""


@dataclass(frozen=True, slots=True)
class Dot:
    """An entry on its lane."""

    entry: Entry
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A span in a row of its own. At the moment that is shown it is `later`, `running` or `over`."""

    span: ShownSpan
    label: str
    indent: int
    x: float
    width: float
    y: float
    state: str


@dataclass(frozen=True, slots=True)
class Axis:
    """The drawn axis. `at` is where the moment is, and `hidden` counts the spans that are left out."""

    scale: TimeScale
    at: float
    height: float
    lanes: Sequence[tuple[str, float]]
    dots: Sequence[Dot]
    bars: Sequence[Bar] = field(default=())
    hidden: int = 0
    width: int = WIDTH
    labels: int = LABELS


def scale_of(entries: Sequence[Entry], traces: SubjectTraces, window: AxisWindow, origin: int) -> TimeScale:
    """Lays out the time of a window: what was recorded, and spans, are what happened in it."""
    busy = [(one.at, one.at) for one in entries]
    busy += [(one.span.began, one.span.ended) for trace in traces.traces.values() for one in trace.spans]
    return time_scale(window, busy, (LABELS + 10, WIDTH - 10), origin)


def axis_of(entries: Sequence[Entry], traces: SubjectTraces, scale: TimeScale, at: int) -> Axis:
    """Lays out the entries, one lane a service, and below them the spans that ran within the window of the scale."""
    window = scale.window
    shown = [one for one in entries if window.has(one.at)]
    names = dict.fromkeys(one.service for one in shown)
    lanes = {name: HEAD + number * LANE + LANE / 2 for number, name in enumerate(names)}
    top = HEAD + len(lanes) * LANE + 4
    spans = [
        span
        for trace in traces.traces.values()
        for span in trace.spans
        if span.span.began <= window.last and span.span.ended >= window.first
    ]
    bars = [_bar(one, scale, at, top + ROW * number) for number, one in enumerate(spans[:MOST_SPANS])]
    return Axis(
        scale,
        scale.across(at),
        top + ROW * len(bars) + 4,
        list(lanes.items()),
        [Dot(one, scale.across(one.at), lanes[one.service]) for one in shown],
        bars,
        len(spans) - len(bars),
    )


def _bar(one: ShownSpan, scale: TimeScale, at: int, y: float) -> Bar:
    began, ended = one.span.began, one.span.ended
    x = scale.across(began)
    state = "later" if began > at else "running" if ended > at else "over"
    width = max(2.0, round(scale.across(min(ended, at) if state == "running" else ended) - x, 1))
    indent = _INDENT * min(one.depth, _DEEPEST)
    return Bar(one, _short(one.span.name, int((LABELS - indent) / _LETTER)), indent, x, width, y, state)


def _short(name: str, most: int) -> str:
    """Leaves out the package of a name; one that is still too long is cut at the end."""
    text = _PACKAGE.sub("", name)
    return text if len(text) <= most else f"{text[: most - 1]}…"
