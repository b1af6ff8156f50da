"""Reads figures: how a counter, a gauge or a histogram stood at two moments, by its labels."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

MOST_SERIES = 5_000


@dataclass(frozen=True, slots=True)
class Increase:
    """By how much a series has grown between two moments; of a histogram, `counts` of each bucket with those below."""

    labels: Mapping[str, str]
    process: str
    value: float
    sum: float
    counts: Sequence[float]


def bounds_of(connection: sqlite3.Connection, metric: str) -> Sequence[float]:
    """Returns the upper bounds of a histogram's buckets, without the infinite one."""
    row = connection.execute("SELECT bounds FROM metrics WHERE name = ?", (metric,)).fetchone()
    return [] if row is None else json.loads(row[0])


_INCREASES = """
SELECT s.labels, p.process, later.value, later.sum, later.counts, earlier.value, earlier.sum, earlier.counts
FROM series AS s
JOIN processes AS p ON p.id = s.process
JOIN points AS later ON later.series = s.id
    AND later.at = (SELECT max(at) FROM points WHERE series = s.id AND at <= :until)
LEFT JOIN points AS earlier ON earlier.series = s.id
    AND earlier.at = coalesce(
        (SELECT max(at) FROM points WHERE series = s.id AND at <= :since),
        -- It was there when its process was first read: how it had come to that is not known. One that came later began
        -- at nothing.
        CASE WHEN s.began = p.began THEN (SELECT min(at) FROM points WHERE series = s.id) END)
WHERE s.metric = :metric AND p.seen >= :since AND p.began <= :until
LIMIT :most
"""


def increases(connection: sqlite3.Connection, metric: str, since: int, until: int) -> Iterator[Increase]:
    """Gives by how much each series of a counter or a histogram has grown between two moments."""
    values = {"metric": metric, "since": since, "until": until, "most": MOST_SERIES}
    for labels, process, value, sum_, counts, value0, sum0, counts0 in connection.execute(_INCREASES, values):
        grown = value - (value0 or 0.0)
        if grown <= 0:
            continue
        now, then = json.loads(counts or "[]"), json.loads(counts0 or "[]")
        then += [0] * (len(now) - len(then))
        buckets = [a - b for a, b in zip(now, then, strict=False)]
        yield Increase(json.loads(labels), process, grown, sum_ - (sum0 or 0.0), buckets)


def added(many: Sequence[Sequence[float]]) -> Sequence[float]:
    """Adds the buckets of several histograms."""
    width = max(map(len, many), default=0)
    return [sum(one[at] for one in many if at < len(one)) for at in range(width)]


def quantile(part: float, bounds: Sequence[float], counts: Sequence[float]) -> float | None:
    """Estimates a quantile of a histogram, 0 to 1, as Prometheus does (`histogram_quantile`): linear in its bucket.

    Beyond the last bound it is that bound. None without observations.
    """
    if not counts or counts[-1] <= 0:
        return None
    rank, before, lower = part * counts[-1], 0.0, 0.0
    for bound, count in zip(bounds, counts, strict=False):
        if count >= rank:
            return lower + (bound - lower) * ((rank - before) / (count - before) if count > before else 1.0)
        before, lower = count, bound
    return bounds[-1] if bounds else None


_GAUGES = """
SELECT s.labels, p.process, points.value
FROM series AS s
JOIN processes AS p ON p.id = s.process
JOIN points ON points.series = s.id AND points.at = (SELECT max(at) FROM points WHERE series = s.id AND at <= :at)
WHERE s.metric = :metric AND p.seen >= :since AND p.began <= :at
LIMIT :most
"""


def read_gauges(
    connection: sqlite3.Connection, metric: str, at: int, since: int
) -> Iterator[tuple[Mapping[str, str], float]]:
    """Gives the value that each series of a gauge had at a moment, with the label `process`; only those of processes
    that were read after `since`."""
    values = {"metric": metric, "at": at, "since": since, "most": MOST_SERIES}
    for labels, process, value in connection.execute(_GAUGES, values):
        yield {**json.loads(labels), "process": process}, value
