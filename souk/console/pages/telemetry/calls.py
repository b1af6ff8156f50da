"""Who calls whom, how often, how well and how fast, beside what the contracts promise."""

import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from souk.console.page import ConsolePage, PageRefused, PageRequest, ShownPage
from souk.console.pages.telemetry.source import TelemetrySource
from souk.console.telemetry.queries.edges import CallFigures, read_edges
from souk.kernel.clock import MICROSECONDS
from souk.kernel.errors import ConfigurationError

WINDOWS: Mapping[str, int] = {"1": 1, "5": 5, "15": 15, "60": 60, "1440": 1_440}
"""The windows that can be chosen, in minutes."""
FEW, MANY = 0.001, 0.01
"""Parts of all calls that fail from which an edge needs a look, and is bad."""

Promises = Mapping[tuple[str, str], float]
"""The time-out of each method in seconds, by service and method, as the contracts say."""
EdgesNow: TypeAlias = tuple[Mapping[tuple[str, str], Mapping[str, Any]], str]
"""The figures of each pair of a caller and a callee, and why there are none, if they could not be read."""
EdgeFigures: TypeAlias = Callable[[int], Awaitable[EdgesNow]]
TONES = ("good", "warn", "bad")


def calls_page(source: TelemetrySource, promises: Promises) -> ConsolePage:
    """Makes the page."""

    async def show(asked: PageRequest) -> ShownPage:
        window = asked.asked("minutes") or "5"
        if window not in WINDOWS:
            raise PageRefused(f"there is no window of {window} minutes; the windows are {', '.join(WINDOWS)}")
        since = asked.now - WINDOWS[window] * 60 * MICROSECONDS
        found, lost = await source.ask(lambda connection: read_edges(connection, since, asked.now, by_method=True))
        rows = [(one, promises.get((one.callee, one.method)), tone(one, promises)) for one in found]
        document = [one.document | {"promised": promised, "tone": tone_} for one, promised, tone_ in rows]
        return source.shown("calls.html", "Calls", document, {"rows": rows, "windows": WINDOWS, "window": window}, lost)

    return ConsolePage("calls", "Calls", show, group="Telemetry")


def tone(one: CallFigures, promises: Promises) -> str:
    """Says how a method keeps its promise: bad if 1 % of its calls fail or take as long as its time-out, a warning
    from a tenth of that on. A refusal is an answer that the contract lists, and no failure."""
    failing = one.failures / one.rate if one.rate else 0.0
    promised = promises.get((one.callee, one.method))
    late = one.p99 / promised if promised and one.p99 is not None else 0.0
    if failing >= MANY or late >= 1.0:
        return "bad"
    return "warn" if failing >= FEW or late >= 0.5 else "good"


LATELY = 60 * MICROSECONDS
"""The window of the map's figures, in microseconds."""


def edge_figures(source: TelemetrySource, promises: Promises) -> EdgeFigures:
    """Makes the question that the map asks: the figures of the last minute, with the worst tone of the methods."""

    async def ask(now: int) -> EdgesNow:
        def question(connection: sqlite3.Connection) -> EdgesNow:
            methods = read_edges(connection, now - LATELY, now, by_method=True)
            tones: dict[tuple[str, str], str] = {}
            for one in methods:
                key = (one.caller, one.callee)
                tones[key] = max(tones.get(key, "good"), tone(one, promises), key=TONES.index)
            both = read_edges(connection, now - LATELY, now)
            return {
                (one.caller, one.callee): one.document | {"tone": tones[one.caller, one.callee]} for one in both
            }, ""

        try:
            found, _ = await source.ask(question)
        except ConfigurationError as error:
            return {}, str(error)
        return found

    return ask
