"""Shows a fleet on a terminal as a live table, with its log lines above."""

import asyncio
import io
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TextIO, cast

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from souk.admin.client import ask_all, status
from souk.admin.process_status import BACKING_OFF, FAILED, READY, ProcessView
from souk.cli.output.fleet_lines import in_short, prefix
from souk.kernel.addresses import socket_path
from souk.supervisor.fleet import Fleet

REFRESH = 0.5
ASK = 1.0
MOST_LINES = 60
"""Log lines that are shown between two refreshes; nobody can read more, and the files have all of them."""
OnProcessOutput = Callable[[str, list[bytes]], None]
_COLUMNS = ("service", "instance", "state", "pid", "port", "requests/s", "restarts", "")
_NUMBERS = frozenset({"pid", "port", "requests/s", "restarts"})
_STYLES = {READY: "green", BACKING_OFF: "red", FAILED: "red"}


def table(views: list[ProcessView], rates: Mapping[str, float]) -> Table:
    """Makes the table of processes; only the first row of a service has its name, with the number of its processes."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in _COLUMNS:
        shown.add_column(column, justify="right" if column in _NUMBERS else "left", no_wrap=bool(column))
    before = ""
    for view in views:
        count = sum(other.service == view.service for other in views)
        name = "" if view.service == before else f"{view.service} ({count})" if count > 1 else view.service
        before = view.service
        rate = rates.get(view.instance)
        shown.add_row(
            name,
            view.instance,
            Text(view.state, _STYLES.get(view.state, "yellow")),
            str(view.pid or ""),
            _port(view.address),
            "-" if rate is None else f"{rate:.1f}",
            str(view.restarts),
            Text(view.why, overflow="ellipsis"),
        )
    return shown


def _port(address: str) -> str:
    if socket_path(address):
        return "socket"
    port = address.rpartition(":")[2]
    return port if port.isdigit() else "-"


class _OwnLog(io.TextIOBase):
    """A terminal for this process's own log, which shows its lines above the table: direct output would break the
    table. It has no descriptor."""

    def __init__(self, show: Callable[[Text], None]) -> None:
        self._show = show

    def write(self, text: str) -> int:
        for line in text.splitlines():
            self._show(Text.from_ansi(line))
        return len(text)

    def isatty(self) -> bool:
        return True


class TableScreen:
    """Shows a fleet on `console` inside the block of `live`, with its log lines, unless those go to `elsewhere`."""

    def __init__(self, console: Console, fleet: Fleet, elsewhere: OnProcessOutput | None = None) -> None:
        self._console, self._fleet, self._elsewhere = console, fleet, elsewhere
        self._waiting: deque[Text] = deque(maxlen=MOST_LINES)
        self._left_out = 0
        self._rates: dict[str, float] = {}

    @property
    def own_log(self) -> TextIO:
        """A stream for the lines that this process logs; they are shown at the next refresh."""
        return cast(TextIO, _OwnLog(self._waiting.append))

    def state(self, view: ProcessView) -> None:
        """Does nothing: the table shows the new state at its next refresh."""

    def output(self, instance: str, lines: list[bytes]) -> None:
        """Shows each line after its prefix, in short, at the next refresh."""
        if self._elsewhere is not None:
            self._elsewhere(instance, lines)
            return
        self._left_out += max(0, len(self._waiting) + len(lines) - MOST_LINES)
        before = prefix(instance, coloured=True)
        self._waiting.extend(Text.from_ansi(before + in_short(line)) for line in lines[-MOST_LINES:])

    def note(self, line: str) -> None:
        """Shows a message above the table."""
        self._console.print(line, highlight=False, markup=False)

    @asynccontextmanager
    async def live(self) -> AsyncIterator[None]:
        """Shows the table inside the block."""
        with Live(table([], {}), console=self._console, auto_refresh=False, transient=True) as live:
            tasks = [asyncio.create_task(self._refresh(live)), asyncio.create_task(self._ask())]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                self._show_lines()

    async def _refresh(self, live: Live) -> None:
        while True:
            self._show_lines()
            live.update(table(self._fleet.processes(), self._rates), refresh=True)
            await asyncio.sleep(REFRESH)

    async def _ask(self) -> None:
        while True:
            asked = [view for view in self._fleet.processes() if view.control and view.state == READY]
            answers = await ask_all(asked, status)
            self._rates = {view.instance: one.requests_per_second for view, one in answers if one is not None}
            await asyncio.sleep(ASK)

    def _show_lines(self) -> None:
        if self._left_out:
            self._console.print(f"... {self._left_out} lines more in the logs", style="dim")
        for line in self._waiting:
            self._console.print(line, soft_wrap=True)
        self._waiting.clear()
        self._left_out = 0
