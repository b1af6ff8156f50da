"""The spans of the runs of a subject, as far as the console has kept them; otherwise why there are none."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from soukapi.v1 import sagas_pb2

from souk.console.pages.telemetry.source import TelemetrySource
from souk.console.telemetry.queries.finding_traces import oldest_trace, read_trace
from souk.console.telemetry.store.state import Condition
from souk.console.telemetry.traces.shown_trace import ShownTrace, shown_trace
from souk.console.telemetry.traces.trace import TraceSpan
from souk.kernel.errors import ConfigurationError

MOST_TRACES = 5
"""Traces of a subject that are read: those of its newest runs."""
NO_RUN = "No saga ran for it, and records name no other trace."
_NO_TRACE = "the run was begun without a trace"
_GONE = "it has left the console's file to make room (SOUK_CONSOLE_MAX_MB, SOUK_CONSOLE_KEEP_HOURS)"
_NOT_CHOSEN = "it was not chosen to be recorded: of many traces a share is (OTEL_TRACES_SAMPLER)"
_NOT_YET = "no process has given a span of it so far; look again in some seconds"


@dataclass(frozen=True, slots=True)
class SubjectTraces:
    """The traces of a subject, by id, and for each run that has none the reason; `why` is for all of them."""

    traces: Mapping[str, ShownTrace] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    why: str = ""

    @property
    def document(self) -> dict[str, object]:
        """The same, as JSON has it."""
        found = [one.document for one in self.traces.values()]
        return {"traces": found, "missing": dict(self.missing), "why": self.why}


async def subject_traces(source: TelemetrySource, runs: Sequence[sagas_pb2.SagaRun]) -> SubjectTraces:
    """Reads the traces of the newest runs. What cannot be read is a reason, and no error: the records are shown."""
    if not runs:
        return SubjectTraces(why=NO_RUN)
    newest = list(runs)[-MOST_TRACES:]
    ids = {id_: None for run in newest if (id_ := trace_id_of(run.traceparent))}
    try:
        (spans, oldest), _ = await source.ask(lambda connection: _read(connection, list(ids)))
    except ConfigurationError as error:
        return SubjectTraces(why=f"The spans could not be read: {error}.")
    traces = {id_: shown_trace(found) for id_, found in spans.items() if found}
    state = source.telemetry.state()
    away = "" if state.condition is Condition.WELL else state.words
    return SubjectTraces(traces, dict(_missing(newest, traces, oldest)), "" if traces else away)


def trace_id_of(traceparent: str) -> str:
    """Returns the id of the trace of a `traceparent`; empty if it names none."""
    return traceparent.split("-")[1] if traceparent.count("-") == 3 else ""


def _read(connection: sqlite3.Connection, ids: Sequence[str]) -> tuple[Mapping[str, Sequence[TraceSpan]], int | None]:
    return {id_: read_trace(connection, id_) for id_ in ids}, oldest_trace(connection)


def _missing(
    runs: Sequence[sagas_pb2.SagaRun], traces: Mapping[str, ShownTrace], oldest: int | None
) -> Iterator[tuple[str, str]]:
    for run in runs:
        id_ = trace_id_of(run.traceparent)
        if not id_:
            yield run.id, _NO_TRACE
        elif id_ not in traces:
            gone = oldest is not None and run.started_at.ToMicroseconds() < oldest
            chosen = run.traceparent.endswith("-01")
            yield run.id, _GONE if gone else _NOT_YET if chosen else _NOT_CHOSEN
