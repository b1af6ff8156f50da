"""`souk up --topology fleet`: starts the system as a fleet of processes, and shows its state."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from souk.admin.routes_reload import reload_routes
from souk.cli.output.fleet_lines import LinesScreen
from souk.cli.output.fleet_table import TableScreen
from souk.cli.output.terminal import print_line, start_logging
from souk.gateway.routing.reading.document import load
from souk.kernel.clock import SystemClock
from souk.runtime.config.environment import inherited
from souk.runtime.config.settings import LogFileSettings, Settings
from souk.runtime.process.signals import StopSignals, run
from souk.runtime.service import App
from souk.supervisor import process_group
from souk.supervisor.fleet import Fleet
from souk.supervisor.supervisor import RunningFleet, Screen, supervised_fleet
from souk.telemetry.logs import logger

Meanwhile = Callable[[str, Callable[[str], None]], Coroutine[Any, Any, None]]
"""Runs while the system is up; gets its URL, and the function that prints a line: any other output breaks the table."""


def up_fleet(app: App, settings: Settings, meanwhile: Meanwhile) -> None:
    """Starts a fleet, and serves until SIGTERM or Ctrl-C."""
    if settings.http.routes is not None:
        load(settings.http.routes)  # so that a wrong file is known before anything starts
    process_group.lead()
    fleet = Fleet()

    async def life(is_up: asyncio.Event, stop: StopSignals) -> None:
        began, reloading = time.monotonic(), list[asyncio.Task[None]]()
        async with (
            _screen(settings.log, fleet) as screen,
            supervised_fleet(app, settings, inherited(), screen, fleet, SystemClock()) as system,
        ):
            is_up.set()
            _announce(app, settings.data.directory, system, screen, time.monotonic() - began)
            if settings.http.routes is not None:
                stop.on_hangup(lambda: reloading.append(asyncio.create_task(_reload(system.fleet))))
            following = asyncio.create_task(meanwhile(system.url, screen.note))
            await stop.wait()
            following.cancel()
            await asyncio.gather(following, *reloading, return_exceptions=True)
            screen.note("stopping: running requests are finished first; Ctrl-C again ends at once")
        print_line("stopped")

    def leave(number: int) -> None:
        fleet.kill()
        if sys.stdout.isatty():
            Console().show_cursor()
        os._exit(128 + number)

    run(life, leave)


async def _reload(fleet: Fleet) -> None:
    """Has every gateway read its routes file again; each logs what became of it."""
    silent = (await reload_routes(fleet.processes())).silent
    if silent:
        logger("control").warning("a gateway did not read its routes file again", silent=list(silent))


def _announce(app: App, data: Path, system: RunningFleet, screen: Screen, took: float) -> None:
    processes = system.fleet.processes()
    screen.note(f"{app.name} is ready on {system.url} after {took:.1f} s, in {len(processes)} processes")
    screen.note(f"data in {data}, logs in {data / 'logs'}; API at {system.url}/docs; Ctrl-C stops")


@asynccontextmanager
async def _screen(settings: LogFileSettings, fleet: Fleet) -> AsyncIterator[Screen]:
    """Gives the screen of a fleet: a live table on a terminal, lines anywhere else."""
    if not sys.stdout.isatty():
        yield LinesScreen(start_logging(settings))
        return
    elsewhere = None if settings.file is None else LinesScreen(start_logging(settings)).output
    screen = TableScreen(Console(), fleet, elsewhere)
    async with screen.live():
        if elsewhere is None:
            start_logging(settings, screen.own_log)
        yield screen
