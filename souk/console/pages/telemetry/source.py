"""What these pages read from: the console's file, and how gathering does, which each of them says."""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from souk.admin.parked_filter import seconds_of
from souk.console.page import PageRefused, PageRequest, ShownPage
from souk.console.telemetry.gathering.opening import Telemetry
from souk.console.telemetry.queries.runs import count_lost
from souk.console.telemetry.queries.telemetry_reader import TelemetryReader
from souk.console.telemetry.store.state import Condition, TelemetryState
from souk.kernel.clock import MICROSECONDS

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TelemetrySource:
    """Asks the file, and shows what it answers beside how gathering does."""

    telemetry: Telemetry
    reader: TelemetryReader

    async def ask(self, question: Callable[[sqlite3.Connection], T]) -> tuple[T, int]:
        """Asks; returns the answer, and how many spans were lost so far. Raises ConfigurationError."""
        return await self.reader.ask(lambda connection: (question(connection), count_lost(connection)))

    def shown(self, template: str, title: str, document: Any, values: Mapping[str, Any], lost: int = 0) -> ShownPage:
        """Makes a page that says how gathering does, as HTML and as JSON."""
        state = self.telemetry.state()
        about = {**asdict(state), "condition": str(state.condition), "lost": lost}
        more = {**values, "gathering": state, "gathers_well": _is_well(state), "lost": lost}
        return ShownPage(f"telemetry/{template}", title, {"gathering": about, "data": document}, more)


def _is_well(state: TelemetryState) -> bool:
    return state.condition is Condition.WELL


def number_of(asked: PageRequest, name: str, default: float | None = None, most: float = 1e9) -> float | None:
    """Reads a number of a query. Raises PageRefused, with what is wrong."""
    text = asked.asked(name)
    if not text:
        return default
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= most:
        raise PageRefused(f"{name} is {text!r}, which is no number from 0 to {most:g}")
    return found


def since_of(asked: PageRequest, name: str = "since") -> int | None:
    """Reads a time ago of a query, as a time in microseconds. Raises PageRefused, with what is wrong."""
    text = asked.asked(name)
    if not text:
        return None
    seconds = seconds_of(text)
    if seconds is None:
        raise PageRefused(f"{text!r} is no time: write 90s, 10m, 2h or 7d")
    return asked.now - round(seconds * MICROSECONDS)
