"""One trace as a waterfall: every span under its parent, when it ran, and the critical path."""

from collections.abc import Mapping, Sequence

from souk.console.page import ConsolePage, PageRefused, PageRequest, ShownPage
from souk.console.pages.telemetry.source import TelemetrySource, number_of
from souk.console.telemetry.queries.finding_traces import read_trace
from souk.console.telemetry.traces.shown_trace import ShownSpan, ShownTrace, shown_trace

ROWS = 500
"""Spans of one page: a trace of thousands is shown in parts."""
VIEWS: Mapping[str, str] = {"all": "All spans", "path": "Critical path", "failed": "Failed"}
_SCALE = 1_000
"""The width of the waterfall, in its own units."""


def trace_page(source: TelemetrySource) -> ConsolePage:
    """Makes the page."""

    async def show(asked: PageRequest) -> ShownPage:
        id_ = asked.values["id"]
        spans, lost = await source.ask(lambda connection: read_trace(connection, id_.lower()))
        if not spans:
            raise PageRefused(
                f"there is no trace {id_}: it was never recorded, or it has left the console's file to make room", 404
            )
        trace = shown_trace(spans)
        view = asked.asked("view") or "all"
        rows = _chosen(trace, view)
        first = int(number_of(asked, "from", 0.0) or 0)
        values = {
            "trace": trace,
            "view": view,
            "views": VIEWS,
            "rows": [_row(trace, one) for one in rows[first : first + ROWS]],
            "count": len(rows),
            "first": first,
            "last": min(first + ROWS, len(rows)),
            "page_size": ROWS,
            "failed": sum(bool(one.span.error) for one in trace.spans),
            "services": len({one.span.service for one in trace.spans}),
            "chosen": _span(trace, asked.asked("span")),
            "ticks": [trace.tree.took * at // 4 for at in range(5)],
        }
        root = trace.spans[0].span
        return source.shown("trace.html", root.name, trace.document, values, lost)

    return ConsolePage("traces/{id}", "", show)


def _chosen(trace: ShownTrace, view: str) -> Sequence[ShownSpan]:
    if view == "path":
        return [one for one in trace.spans if one.waited]
    if view == "failed":
        return [one for one in trace.spans if one.span.error]
    if view != "all":
        raise PageRefused(f"there is no view {view!r}; the views are {', '.join(VIEWS)}")
    return trace.spans


def _row(trace: ShownTrace, one: ShownSpan) -> dict[str, object]:
    took = max(trace.tree.took, 1)
    start = one.offset * _SCALE / took
    return {
        "span": one.span,
        "depth": min(one.depth, 12),
        "waited": one.waited,
        "x": round(start, 1),
        "width": round(max(one.span.took * _SCALE / took, 2.0), 1),
        "tone": "bad" if one.span.error else "path" if one.waited else "",
    }


def _span(trace: ShownTrace, span_id: str) -> ShownSpan | None:
    if not span_id:
        return None
    found = next((one for one in trace.spans if one.span.span_id == span_id), None)
    if found is None:
        raise PageRefused(f"this trace has no span {span_id}", 404)
    return found
