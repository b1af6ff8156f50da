"""A metric over time, as a chart, with its figures in a table below."""

import sqlite3
from collections.abc import Mapping, Sequence

from souk.console.page import ConsolePage, PageRefused, PageRequest, ShownPage
from souk.console.pages.telemetry.source import TelemetrySource
from souk.console.telemetry.queries.edges import CALLS
from souk.console.telemetry.queries.metric_series import MetricChart, label_names, list_metrics, read_chart
from souk.kernel.clock import MICROSECONDS
from souk.kernel.errors import ConfigurationError

WINDOWS: Mapping[str, str] = {"5": "5 minutes", "15": "15 minutes", "60": "1 hour", "360": "6 hours", "1440": "1 day"}
STEPS = 60
FIRST = (CALLS, "callee")
"""What is shown first: calls between services, by who is called."""


def metrics_page(source: TelemetrySource) -> ConsolePage:
    """Makes the page."""

    async def show(asked: PageRequest) -> ShownPage:
        name = asked.asked("name") or FIRST[0]
        by = asked.asked("by") if asked.asked("name") else FIRST[1]
        window = asked.asked("minutes") or "15"
        if window not in WINDOWS:
            raise PageRefused(f"there is no window of {window} minutes; the windows are {', '.join(WINDOWS)}")
        since = asked.now - int(window) * 60 * MICROSECONDS
        found, lost = await source.ask(lambda connection: _read(connection, name, since, asked.now, by))
        chart, known, labels = found
        values = {
            "chart": chart,
            "charts": _charts(chart),
            "known": known,
            "labels": labels,
            "name": name,
            "by": by,
            "windows": WINDOWS,
            "window": window,
        }
        document = {"chart": None if chart is None else chart.document, "metrics": known}
        return source.shown("metrics.html", "Metrics", document, values, lost)

    return ConsolePage("metrics", "Metrics", show, group="Telemetry")


def _read(
    connection: sqlite3.Connection, name: str, since: int, until: int, by: str
) -> tuple[MetricChart | None, Sequence[dict[str, str]], Sequence[str]]:
    known = list_metrics(connection)
    if not any(one["name"] == name for one in known):
        if name == FIRST[0]:  # nothing has been called yet
            return None, known, []
        try:
            read_chart(connection, name, since, until)
        except ConfigurationError as error:
            raise PageRefused(str(error), 404) from error
    labels = label_names(connection, name)
    wanted = [by] if by in labels else []
    return read_chart(connection, name, since, until, wanted, STEPS), known, labels


def _charts(chart: MetricChart | None) -> Sequence[dict[str, object]]:
    """Divides the lines into charts of one unit each: a rate, times, or values."""
    if chart is None:
        return []
    found: list[dict[str, object]] = []
    for shows, title in (
        ("per second", "Per second"),
        ("p50", "Half took at most"),
        ("p99", "99 % took at most"),
        ("value", "Value"),
    ):
        lines = [one for one in chart.lines if one.shows == shows]
        if lines:
            data = {
                "times": [at // MICROSECONDS for at in chart.times],
                "lines": [{"name": _name(one.labels), "values": list(one.values)} for one in lines],
                "unit": "s" if shows in ("p50", "p99") else "/s" if shows == "per second" else "",
            }
            found.append(
                {
                    "title": title,
                    "data": data,
                    "lines": [(_name(one.labels), _last(one.values), _most(one.values)) for one in lines],
                }
            )
    return found


def _name(labels: Mapping[str, str]) -> str:
    return ", ".join(value or "(none)" for value in labels.values()) or "all"


def _last(values: Sequence[float | None]) -> float | None:
    return values[-1] if values else None


def _most(values: Sequence[float | None]) -> float | None:
    return max((one for one in values if one is not None), default=None)
