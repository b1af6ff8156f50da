"""How a metric went over time."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from souk.console.telemetry.queries.figures import bounds_of, increases, quantile, read_gauges
from souk.kernel.clock import MICROSECONDS
from souk.kernel.errors import ConfigurationError
from souk.kernel.suggest import meant

MOST_LINES, MOST_STEPS = 20, 300
PER_SECOND = "per second"
HISTOGRAM, COUNTER = "histogram", "counter"


@dataclass(frozen=True, slots=True)
class MetricLine:
    """One line of a chart: what it shows, and a value at the end of each step, None where there is none."""

    labels: Mapping[str, str]
    shows: str
    values: Sequence[float | None]

    @property
    def document(self) -> dict[str, object]:
        """The same, as JSON has it."""
        return {"labels": dict(self.labels), "shows": self.shows, "values": list(self.values)}


@dataclass(frozen=True, slots=True)
class MetricChart:
    """A metric over time. `times` are the ends of the steps, in microseconds; `hidden` lines are left out."""

    name: str
    type: str
    help: str
    times: Sequence[int]
    lines: Sequence[MetricLine]
    hidden: int

    @property
    def document(self) -> dict[str, object]:
        """The same, as JSON has it."""
        lines = [one.document for one in self.lines]
        besides = {"times": list(self.times), "lines": lines, "hidden": self.hidden}
        return {"name": self.name, "type": self.type, "help": self.help, **besides}


def list_metrics(connection: sqlite3.Connection) -> Sequence[dict[str, str]]:
    """Returns every metric that is kept: its name, type and meaning."""
    rows = connection.execute("SELECT name, type, help FROM metrics ORDER BY name LIMIT 2000")
    return [dict(zip(("name", "type", "help"), row, strict=True)) for row in rows]


def read_chart(
    connection: sqlite3.Connection, metric: str, since: int, until: int, by: Sequence[str] = (), steps: int = 60
) -> MetricChart:
    """Reads a metric between two moments in `steps` steps, one line for each value of the labels `by`.

    Counters and histograms are shown per second, histograms also by the time that half and 99 % took at most; other
    metrics by their value. Raises ConfigurationError, with the nearest name, if there is no such metric.
    """
    row = connection.execute("SELECT type, help FROM metrics WHERE name = ?", (metric,)).fetchone()
    if row is None:
        known = [one["name"] for one in list_metrics(connection)]
        raise ConfigurationError(f"there is no metric {metric!r}{meant(metric, known)}")
    count = max(1, min(steps, MOST_STEPS))
    width = max((until - since) // count, 1)
    times = [since + width * (at + 1) for at in range(count)]
    read = _rates if row[0] in (HISTOGRAM, COUNTER) else _gauges
    lines = read(connection, metric, times, width, by, histogram=row[0] == HISTOGRAM)
    lines.sort(key=lambda one: sum(value or 0.0 for value in one.values), reverse=True)
    return MetricChart(metric, row[0], row[1], times, lines[:MOST_LINES], max(0, len(lines) - MOST_LINES))


Key = tuple[tuple[str, str], ...]


def _key(labels: Mapping[str, str], by: Sequence[str]) -> Key:
    return tuple((name, labels.get(name, "")) for name in by)


def _rates(
    connection: sqlite3.Connection, metric: str, times: Sequence[int], width: int, by: Sequence[str], *, histogram: bool
) -> list[MetricLine]:
    bounds = bounds_of(connection, metric) if histogram else []
    values = defaultdict[tuple[Key, str], list[float | None]](lambda: [None] * len(times))
    for at, time in enumerate(times):
        grouped = defaultdict[Key, list[float]](lambda: [0.0])
        buckets = defaultdict[Key, list[float]](list)
        for one in increases(connection, metric, time - width, time):
            key = _key({**one.labels, "process": one.process}, by)
            grouped[key][0] += one.value
            so_far = buckets[key]
            so_far += [0.0] * (len(one.counts) - len(so_far))
            for number, count in enumerate(one.counts):
                so_far[number] += count
        for key, (total,) in grouped.items():
            values[key, PER_SECOND][at] = total / (width / MICROSECONDS)
            if histogram:
                values[key, "p50"][at] = quantile(0.5, bounds, buckets[key])
                values[key, "p99"][at] = quantile(0.99, bounds, buckets[key])
    return [
        MetricLine(dict(key), shows, _from_first(found) if shows == PER_SECOND else found)
        for (key, shows), found in values.items()
    ]


def _from_first(values: Sequence[float | None]) -> Sequence[float | None]:
    """Says 0 for what did not grow after it had begun: it was there, and nothing happened."""
    first = next(at for at, value in enumerate(values) if value is not None)
    return [*values[:first], *(value or 0.0 for value in values[first:])]


def _gauges(
    connection: sqlite3.Connection, metric: str, times: Sequence[int], width: int, by: Sequence[str], *, histogram: bool
) -> list[MetricLine]:
    values = defaultdict[Key, list[float | None]](lambda: [None] * len(times))
    for at, time in enumerate(times):
        for labels, value in read_gauges(connection, metric, time, time - width):
            line = values[_key(labels, by)]
            line[at] = (line[at] or 0.0) + value
    return [MetricLine(dict(key), "value", found) for key, found in values.items()]


def label_names(connection: sqlite3.Connection, metric: str) -> Sequence[str]:
    """Returns the labels by which a metric can be divided; `process` is one of them."""
    found: dict[str, None] = {}
    for (labels,) in connection.execute("SELECT labels FROM series WHERE metric = ? LIMIT 500", (metric,)):
        found.update(dict.fromkeys(json.loads(labels)))
    return [*found, "process"]
