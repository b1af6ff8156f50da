"""Finds traces, and reads all spans of one."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from souk.console.telemetry.traces.trace import KINDS, TraceSpan
from souk.kernel.clock import MICROSECONDS

MOST = 1_000
_NOT_OF_THE_CONSOLE = "t.name NOT IN ('GET /console', 'HEAD /console', 'POST /console', 'GET /console stream')"
MOST_SPANS = 20_000
"""Spans of one trace that are read."""


@dataclass(frozen=True, slots=True)
class TraceFilter:
    """Which traces are wanted; empty and None mean any. Times are in microseconds since 1970, durations in seconds.

    `service` and `operation` are those of any span, `text` is part of a name, an attribute or a trace's id. `attribute`
    is a name and a value. `run` is the name of a start of the system. Requests to the console itself are left out,
    unless `console` wants them.
    """

    service: str = ""
    operation: str = ""
    text: str = ""
    attribute: tuple[str, str] | None = None
    errors: bool = False
    at_least: float | None = None
    at_most: float | None = None
    since: int | None = None
    until: int | None = None
    run: str = ""
    limit: int = 50
    console: bool = False


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """A trace in a list: its first span, and what all of them come to. Times are in microseconds."""

    trace_id: str
    run: str
    service: str
    name: str
    began: int
    took: int
    spans: int
    errors: int

    @property
    def document(self) -> dict[str, object]:
        """The same, as JSON has it."""
        return {name: getattr(self, name) for name in self.__slots__}


def find_traces(connection: sqlite3.Connection, wanted: TraceFilter) -> Sequence[TraceSummary]:
    """Returns the newest traces that are wanted, `limit` at most."""
    conditions, values = _of_trace(wanted)
    inside, inside_values = _of_spans(wanted)
    if inside:
        conditions.append(f"EXISTS (SELECT 1 FROM spans AS s WHERE s.trace_id = t.trace_id AND {' AND '.join(inside)})")
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    rows = connection.execute(
        "SELECT t.trace_id, r.name, t.service, t.name, t.began, t.ended - t.began, t.spans, t.errors"
        f" FROM traces AS t JOIN runs AS r ON r.id = t.run {where} ORDER BY t.began DESC LIMIT ?",
        (*values, *inside_values, max(1, min(wanted.limit, MOST))),
    )
    return [TraceSummary(*row) for row in rows]


def _of_trace(wanted: TraceFilter) -> tuple[list[str], list[object]]:
    pairs = (
        ("t.errors > ?", 0 if wanted.errors else None),
        ("t.ended - t.began >= ?", _microseconds(wanted.at_least)),
        ("t.ended - t.began <= ?", _microseconds(wanted.at_most)),
        ("t.began >= ?", wanted.since),
        ("t.began <= ?", wanted.until),
        ("r.name = ?", wanted.run or None),
    )
    chosen = [(text, value) for text, value in pairs if value is not None]
    own = [] if wanted.console else [_NOT_OF_THE_CONSOLE]
    return [*(text for text, _ in chosen), *own], [value for _, value in chosen]


def _of_spans(wanted: TraceFilter) -> tuple[list[str], list[object]]:
    conditions, values = [], list[object]()
    if wanted.service:
        conditions.append("s.service = ?")
        values.append(wanted.service)
    if wanted.operation:
        conditions.append("s.name LIKE ? ESCAPE '!'")
        values.append(_part(wanted.operation))
    if wanted.text:
        conditions.append("(s.name LIKE ? ESCAPE '!' OR s.attributes LIKE ? ESCAPE '!' OR s.trace_id = ?)")
        values += [_part(wanted.text), _part(wanted.text), wanted.text]
    if wanted.attribute is not None:
        name, value = wanted.attribute
        conditions.append("CAST(json_extract(s.attributes, ?) AS TEXT) = ?")
        values += [f"$.{json.dumps(name)}", value]
    return conditions, values


def _part(text: str) -> str:
    escaped = text.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return f"%{escaped}%"


def _microseconds(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * MICROSECONDS)


def read_trace(connection: sqlite3.Connection, trace_id: str) -> Sequence[TraceSpan]:
    """Returns the spans of a trace, the earliest first; none if it is not kept. The id may be its beginning alone."""
    rows = connection.execute(
        "SELECT trace_id, span_id, parent_id, process, service, name, kind, began, took, error, attributes, links"
        " FROM spans WHERE trace_id = (SELECT min(trace_id) FROM traces WHERE trace_id >= ? AND trace_id < ?)"
        " ORDER BY began, took DESC LIMIT ?",
        (trace_id, trace_id + "g", MOST_SPANS),
    )
    return [
        TraceSpan(
            *(row[0], row[1], row[2], row[3], row[4], row[5]),
            kind=KINDS[row[6]],
            began=row[7],
            took=row[8],
            error=row[9],
            attributes=json.loads(row[10]),
            links=tuple(row[11].split()),
        )
        for row in rows
    ]


def oldest_trace(connection: sqlite3.Connection) -> int | None:
    """Returns when the oldest trace that is kept began, in microseconds; None if there is none."""
    found: int | None = connection.execute("SELECT min(began) FROM traces").fetchone()[0]
    return found


def summary_of(connection: sqlite3.Connection, trace_id: str) -> TraceSummary | None:
    """Returns a trace as a list has it; None if it is not kept."""
    row = connection.execute(
        "SELECT t.trace_id, r.name, t.service, t.name, t.began, t.ended - t.began, t.spans, t.errors"
        " FROM traces AS t JOIN runs AS r ON r.id = t.run WHERE t.trace_id = ?",
        (trace_id,),
    ).fetchone()
    return None if row is None else TraceSummary(*row)
