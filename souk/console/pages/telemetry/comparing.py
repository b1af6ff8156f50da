"""Two traces compared by operation: what only one has, what is slower, what fails."""

import sqlite3

from souk.console.page import ConsolePage, PageRefused, PageRequest, ShownPage
from souk.console.pages.telemetry.source import TelemetrySource
from souk.console.telemetry.queries.finding_traces import read_trace
from souk.console.telemetry.traces.comparison import Difference, compare_traces
from souk.console.telemetry.traces.trace import TraceTree, tree_of

TONES = {
    Difference.NEW: "warn",
    Difference.MISSING: "warn",
    Difference.SLOWER: "bad",
    Difference.FAILED: "bad",
    Difference.FASTER: "good",
    Difference.MENDED: "good",
}


def comparison_page(source: TelemetrySource) -> ConsolePage:
    """Makes the page."""

    async def show(asked: PageRequest) -> ShownPage:
        ids = [one.strip().lower() for one in asked.query.get("id", ()) if one.strip()]
        if len(ids) != 2:
            raise PageRefused(f"two traces are compared, and {len(ids)} were chosen: choose two in the list of traces")

        def question(connection: sqlite3.Connection) -> tuple[TraceTree, TraceTree]:
            return _tree(connection, ids[0]), _tree(connection, ids[1])

        (first, second), lost = await source.ask(question)
        found = compare_traces(first, second)
        rows = [(one, TONES.get(one.difference, "off")) for one in found]
        values = {"first": first, "second": second, "ids": ids, "rows": rows}
        return source.shown("comparison.html", "Two traces", [one.document for one in found], values, lost)

    return ConsolePage("traces/compare", "", show)


def _tree(connection: sqlite3.Connection, trace_id: str) -> TraceTree:
    spans = read_trace(connection, trace_id)
    if not spans:
        raise PageRefused(f"there is no trace {trace_id}", 404)
    return tree_of(spans)
