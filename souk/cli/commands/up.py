"""`souk up`: starts the whole system."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from souk.cli.commands.up_fleet import up_fleet
from souk.cli.concealing import conceal
from souk.cli.group import example, listed
from souk.cli.output.terminal import print_line, start_logging
from souk.hosting.monolith import RunningSystem, monolith
from souk.kernel.clock import SystemClock
from souk.kernel.errors import ConfigurationError
from souk.runtime.config import entry_points, parsers
from souk.runtime.config.environment import from_environment
from souk.runtime.config.settings import TOPOLOGIES, FleetSettings, Settings
from souk.runtime.config.texts import help_of
from souk.runtime.config.variables import VARIABLES
from souk.runtime.process.signals import StopSignals, run
from souk.runtime.service import App

K = TypeVar("K")
FLEET = "fleet"
_URLS = {"postgres": parsers.postgres, "redis": parsers.redis, "broker": parsers.broker, "search": parsers.search}
"""The flags that are URLs, which may have passwords, and their parsers."""


@click.command(
    epilog=example(
        """
souk up --demo                                with demo data, on http://127.0.0.1:8080
souk up --data /var/lib/souk --host 0.0.0.0   with its own data, on every interface
souk up --demo --then order                   walks one order through it, and keeps serving
souk up --routes routes.yaml                  with routes to other HTTP servers beside its own
souk up --demo --topology fleet --scale order=3,inventory=2
"""
    )
    + listed("Environment variables (flags override them; `souk settings` explains each)", VARIABLES)
)
@click.option("--host", metavar="ADDRESS", help=help_of("host"))
@click.option("--port", type=click.IntRange(0, 65_535), help=help_of("port"))
@click.option("--data", type=click.Path(path_type=Path), help=help_of("data"))
@click.option("--topology", type=click.Choice(TOPOLOGIES), help=help_of("topology"))
@click.option("--scale", metavar="SERVICE=N,...", help=help_of("scale"))
@click.option("--postgres", metavar="URL", help=help_of("postgres"))
@click.option("--redis", metavar="URL", help=help_of("redis"))
@click.option("--broker", metavar="URL", help=help_of("broker"))
@click.option("--search", metavar="URL", help=help_of("search"))
@click.option("--mesh/--no-mesh", default=None, help=help_of("mesh"))
@click.option("--routes", type=click.Path(path_type=Path), help=help_of("routes"))
@click.option("--demo/--no-demo", default=None, help=help_of("demo"))
@click.option("--then", "then", metavar="COMMAND", help="Runs `souk COMMAND` against the system once it is ready.")
def up(then: str | None, scale: str | None, **flags: Any) -> None:
    """Starts the system, and serves until SIGTERM or Ctrl-C.

    It is ready when GET /readyz answers 200. A second Ctrl-C ends it at once.

    A fleet is a process for each service, restarted when it dies, on PostgreSQL and Valkey that come with
    it, with a Valkey of its own for events; `souk ps`, `scale`, `restart`, `stop` and `logs` operate it.
    """
    urls = {name: flags.pop(name) for name in _URLS}
    conceal(urls)
    read: dict[str, Any] = {"scale": _read("--scale", scale, parsers.counts)}
    for name, text in urls.items():
        read[name] = _read(f"--{name}", text, parsers.from_file(_URLS[name]))
    settings = from_environment({**flags, **read})
    app = entry_points.app(settings.app)
    if settings.topology == FLEET:
        up_fleet(app, settings, lambda url, note: follow(then, url, None, note))
        return
    _refuse_processes(settings.fleet)
    _up_monolith(app, settings, then)


def _up_monolith(app: App, settings: Settings, then: str | None) -> None:
    start_logging(settings.log)

    async def life(is_up: asyncio.Event, stop: StopSignals) -> None:
        began = time.monotonic()
        async with monolith(app, settings, SystemClock(), stop.on_hangup) as system:
            is_up.set()
            _announce(app, settings, system, time.monotonic() - began)
            following = asyncio.create_task(follow(then, system.url, settings.data.directory))
            await stop.wait()
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            print_line("stopping: running requests are finished first; Ctrl-C again ends at once")
        print_line("stopped")

    run(life)


def _read(flag: str, text: str | None, reader: Callable[[str], K]) -> K | None:
    try:
        return None if text is None else reader(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=flag) from None


def _refuse_processes(settings: FleetSettings) -> None:
    if settings.mesh:
        raise ConfigurationError("a mesh is between processes: use --topology fleet, or leave out --mesh")
    if settings.scale:
        raise ConfigurationError("one process is not scaled; leave out --scale, or start with --topology fleet")
    if settings.commands:
        raise ConfigurationError("SOUK_COMMANDS says how processes of a fleet are started: use --topology fleet")


def _announce(app: App, settings: Settings, system: RunningSystem, took: float) -> None:
    names = ", ".join(service.name for service in app.services)
    print_line(f"{app.name} is ready on {system.url} after {took:.1f} s: {names} in one process")
    log = f"; log in {settings.log.file}" if settings.log.file else ""
    print_line(f"data in {settings.data.directory}{log}; API at {system.url}/docs; Ctrl-C stops")


async def follow(then: str | None, url: str, data: Path | None, note: Callable[[str], None] | None = None) -> None:
    """Runs another `souk` command against the system, as a user would; if it fails, the system goes on.

    `data` is the directory whose files hold the databases, for the command to name; None with a fleet. `note` shows
    the command's output; without it, that goes where this process's goes.
    """
    if then is None:
        return
    where = () if data is None else ("--data", str(data))
    process = _start((then, "--url", url, *where), note)
    try:
        while process.stdout is not None and (line := await asyncio.to_thread(process.stdout.readline)):
            (note or print_line)(line.decode(errors="replace").rstrip("\n"))
        if await asyncio.to_thread(process.wait):
            ended = f"`souk {then}` ended with status {process.returncode}; the system is still serving on {url}"
            (note or print_line)(ended)
    finally:
        if process.poll() is None:
            process.terminate()
            await asyncio.to_thread(process.wait)
        if process.stdout is not None:
            process.stdout.close()


def _start(arguments: Sequence[str], note: Callable[[str], None] | None) -> "subprocess.Popen[bytes]":
    """Starts the command in a session of its own, so that Ctrl-C reaches only this process, which then ends it.

    The event loop does not start it, as it would fork: gRPC does not survive that.
    """
    return subprocess.Popen(
        (sys.executable, "-m", "souk.cli", *arguments),
        start_new_session=True,
        stdout=None if note is None else subprocess.PIPE,
        stderr=None if note is None else subprocess.STDOUT,
    )
