"""What one run of the system came to: its calls and requests in all, and how the runs of its sagas went."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from souk.console.telemetry.queries.edges import CALLS, FAILURES
from souk.console.telemetry.queries.figures import MOST_SERIES, added, bounds_of, quantile
from souk.gateway.settings import CONSOLE_PATH
from souk.kernel.clock import MICROSECONDS

REQUESTS = "souk_gateway_request_seconds"
"""The histogram of a gateway's requests, by method, route and status."""
GATEWAY = "gateway"
MOST_TRACES = 5_000
"""Traces of a run in which sagas are looked for: its newest ones."""
_SERVER_ERROR = "5"


@dataclass(frozen=True, slots=True)
class MethodFigures:
    """One method, or route of the gateway, in a whole run: `calls`, and of each second; the part that failed; times.

    Half and 99 % took at most so many seconds.
    """

    calls: float = 0.0
    rate: float = 0.0
    failing: float = 0.0
    p50: float | None = None
    p99: float | None = None

    @property
    def document(self) -> dict[str, object]:
        """The same, as JSON has it."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class RunFigures:
    """A run by name, when it began and was seen last, in microseconds; its methods by service and name.

    `sagas` are those of kept traces: how many went through, and how many turned back, by name.
    """

    name: str
    began: int
    last: int
    methods: Mapping[tuple[str, str], MethodFigures]
    sagas: Mapping[str, tuple[int, int]]


def read_run(connection: sqlite3.Connection, name: str) -> RunFigures | None:
    """Reads what a run came to; None if nothing of it is kept."""
    row = connection.execute("SELECT id, began, seen FROM runs WHERE name = ?", (name,)).fetchone()
    if row is None:
        return None
    seconds = max((row[2] - row[1]) / MICROSECONDS, 1.0)
    found = defaultdict[tuple[str, str], list[_Series]](list)
    for one in _series(connection, CALLS, row[0]):
        failed = one.labels.get("outcome") in FAILURES
        found[one.labels.get("callee", ""), one.labels.get("method", "")].append(one.judged(failed=failed))
    for one in _series(connection, REQUESTS, row[0]):
        if one.labels.get("route", "").startswith(CONSOLE_PATH):
            continue  # who looks at a run is no part of it
        route = f"{one.labels.get('method', '')} {one.labels.get('route', '')}".strip()
        found[GATEWAY, route].append(one.judged(failed=one.labels.get("status", "").startswith(_SERVER_ERROR)))
    bounds = {metric: bounds_of(connection, metric) for metric in (CALLS, REQUESTS)}
    methods = {
        key: _figures(them, bounds[REQUESTS if key[0] == GATEWAY else CALLS], seconds)
        for key, them in found.items()
        if sum(one.value for one in them)
    }
    return RunFigures(name, row[1], row[2], methods, _sagas(connection, row[0], row[1], row[2]))


@dataclass(frozen=True, slots=True)
class _Series:
    """A series of a histogram as it stood at its end."""

    labels: Mapping[str, str]
    value: float
    counts: Sequence[float]
    failed: bool = False

    def judged(self, *, failed: bool) -> "_Series":
        return _Series(self.labels, self.value, self.counts, failed)


# A process counts from its own start, so that its last figure is that of all of its life.
_LAST = """
SELECT s.labels, points.value, points.counts
FROM processes AS p
JOIN series AS s ON s.metric = :metric AND s.process = p.id
JOIN points ON points.series = s.id AND points.at = (SELECT max(at) FROM points WHERE series = s.id)
WHERE p.run = :run LIMIT :most
"""


def _series(connection: sqlite3.Connection, metric: str, run: int) -> Iterator[_Series]:
    values = {"metric": metric, "run": run, "most": MOST_SERIES}
    for labels, value, counts in connection.execute(_LAST, values):
        yield _Series(json.loads(labels), value, json.loads(counts or "[]"))


def _figures(them: Sequence[_Series], bounds: Sequence[float], seconds: float) -> MethodFigures:
    calls, counts = sum(one.value for one in them), added([one.counts for one in them])
    failing = sum(one.value for one in them if one.failed) / calls
    return MethodFigures(calls, calls / seconds, failing, quantile(0.5, bounds, counts), quantile(0.99, bounds, counts))


_SAGAS = """
SELECT s.name, s.attributes
FROM (SELECT trace_id FROM traces WHERE began >= :began AND began <= :last AND run = :run
      ORDER BY began DESC LIMIT :most) AS t
CROSS JOIN spans AS s ON s.trace_id = t.trace_id
WHERE s.name LIKE 'saga %' OR s.name LIKE 'undo %'
"""


def _sagas(connection: sqlite3.Connection, run: int, began: int, last: int) -> Mapping[str, tuple[int, int]]:
    turned: dict[tuple[str, str, str], bool] = {}
    values = {"run": run, "began": began, "last": last, "most": MOST_TRACES}
    for name, attributes in connection.execute(_SAGAS, values):
        about = json.loads(attributes)
        if "souk.saga.name" in about:
            key = (
                str(about["souk.saga.name"]),
                str(about.get("souk.saga.subject")),
                str(about.get("souk.saga.attempt")),
            )
            turned[key] = turned.get(key, False) or name.startswith("undo ")
    found: dict[str, tuple[int, int]] = {}
    for (saga, _, _), back in turned.items():
        through, backs = found.get(saga, (0, 0))
        found[saga] = through + (not back), backs + back
    return found
