"""The traces that are kept, by what is wanted of them; two of them can be compared."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from souk.console.page import ConsolePage, PageRefused, PageRequest, ShownPage
from souk.console.pages.telemetry.source import TelemetrySource, number_of, since_of
from souk.console.telemetry.queries.finding_traces import TraceFilter, TraceSummary, find_traces
from souk.console.telemetry.queries.runs import list_runs

SHOWN = 100
FIELDS = ("service", "operation", "text", "attribute", "slower", "since", "run")


def traces_page(source: TelemetrySource) -> ConsolePage:
    """Makes the page."""

    async def show(asked: PageRequest) -> ShownPage:
        wanted = _wanted(asked)

        def question(connection: sqlite3.Connection) -> tuple[Sequence[TraceSummary], Sequence[dict[str, object]]]:
            return find_traces(connection, wanted), list_runs(connection)

        (found, runs), lost = await source.ask(question)
        filters: dict[str, Any] = {name: asked.asked(name) for name in FIELDS}
        values = {
            "traces": found,
            "runs": runs,
            "filters": filters,
            "errors": wanted.errors,
            "filtered": wanted.errors or any(filters.values()),
            "longest": max((one.took for one in found), default=1) or 1,
            "more": len(found) == SHOWN,
        }
        return source.shown("traces.html", "Traces", [one.document for one in found], values, lost)

    return ConsolePage("traces", "Traces", show, group="Telemetry")


def _wanted(asked: PageRequest) -> TraceFilter:
    milliseconds = number_of(asked, "slower")
    return TraceFilter(
        service=asked.asked("service"),
        operation=asked.asked("operation"),
        text=asked.asked("text"),
        attribute=_pair(asked.asked("attribute")),
        errors=bool(asked.asked("errors")),
        at_least=None if milliseconds is None else milliseconds / 1_000,
        since=since_of(asked),
        run=asked.asked("run"),
        limit=SHOWN,
    )


def _pair(text: str) -> tuple[str, str] | None:
    if not text:
        return None
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise PageRefused(f"the attribute {text!r} must read like http.route=/api/v1/orders")
    return name, value
