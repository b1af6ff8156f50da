"""`souk ps`: lists the processes of the running system."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text
from soukapi.v1 import fleet_pb2, fleet_pb2_grpc

from souk.cli.group import example
from souk.cli.operating import DATA, PATIENCE, operate
from souk.cli.output.tables import Row, plain, show, table
from souk.cli.output.terminal import print_line
from souk.kernel.addresses import socket_path

EVERY = 1.0
COLUMNS = ("service", "instance", "state", "pid", "address", "req/s", "running", "memory", "restarts", "up", "note")
RIGHT = frozenset({"pid", "req/s", "running", "memory", "restarts", "up"})
DISPENSABLE = ("note", "address", "service", "running", "memory", "req/s")
"""Columns that are left out if there is no room, in this order; without their column, notes are below the table."""
_KEY_COLUMNS = ("state", "pid", "address", "restarts", "note")
"""Columns of which a change makes `--watch` print a process's line again."""
_KIND = "PROCESS_KIND_"
_ANSWERING = (fleet_pb2.PROCESS_KIND_SERVICE, fleet_pb2.PROCESS_KIND_GATEWAY, fleet_pb2.PROCESS_KIND_SYSTEM)


@click.command(
    epilog=example(
        """
souk ps                                   the system on var/souk
souk ps --watch --data /var/lib/souk      until Ctrl-C; in a pipe, a line for each change
souk ps --json | jq '.[] | select(.state != "ready")'
"""
    )
)
@DATA
@click.option("--json", "as_json", is_flag=True, help="One JSON document; with --watch, one in each line.")
@click.option("--watch", is_flag=True, help="Updates the list until Ctrl-C.")
def ps(data: Path | None, as_json: bool, watch: bool) -> None:
    """Lists the processes of the system that runs on a data directory.

    `req/s` are requests answered in each of the last few seconds, `running` those at work now, `memory` what
    the process and those it started hold (shared memory is divided among them), `restarts` how often it died
    and was started again, `note` why it is not ready, or which dependency is unavailable, and since when.
    """

    async def follow(fleet: "fleet_pb2_grpc.FleetAsyncStub") -> None:
        if watch:
            await _watch(fleet, as_json)
        elif as_json:
            click.echo(json.dumps([document(process) for process in await _listed(fleet)], indent=2))
        else:
            show_processes(await _listed(fleet))

    operate(data, follow)


async def _listed(fleet: "fleet_pb2_grpc.FleetAsyncStub") -> Sequence[fleet_pb2.FleetProcess]:
    found = await fleet.ListProcesses(fleet_pb2.ListProcessesRequest(), timeout=PATIENCE)
    return found.processes


async def _watch(fleet: "fleet_pb2_grpc.FleetAsyncStub", as_json: bool) -> None:
    console = Console(highlight=False)
    if console.is_terminal and not as_json:
        with Live(console=console, auto_refresh=False) as live:
            while True:
                live.update(drawn(await _listed(fleet), console.width), refresh=True)
                await asyncio.sleep(EVERY)
    printed: dict[str, list[str]] = {}
    while True:
        for process in await _listed(fleet):
            cells = row(process)
            key = [cells[name] for name in _KEY_COLUMNS]
            if printed.get(process.instance) != key:
                printed[process.instance] = key
                print_line(
                    json.dumps(document(process)) if as_json else "  ".join(cells[name] or "-" for name in COLUMNS)
                )
        await asyncio.sleep(EVERY)


def show_processes(processes: Sequence[fleet_pb2.FleetProcess]) -> None:
    """Prints processes: as a table that fits on the terminal, or with every column in a pipe."""
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(drawn(processes, console.width))
    else:
        show(COLUMNS, [row(process) for process in processes], RIGHT)


def drawn(processes: Sequence[fleet_pb2.FleetProcess], width: int) -> Group:
    """Makes a table of the columns for which there is room; if notes are not among them, they are below it, in full."""
    rows = [row(process) for process in processes]
    columns = fitting(rows, width)
    notes = [f"{one['instance']}: {one['note']}" for one in rows if one["note"]] if "note" not in columns else []
    return Group(table(columns, rows, RIGHT), *(Text(note, overflow="fold") for note in notes))


def fitting(rows: Sequence[Row], width: int) -> list[str]:
    """Gives the columns that fit into `width` characters; the least needed are left out first."""
    columns = list(COLUMNS)
    for name in DISPENSABLE:
        if len(max(plain(columns, rows), key=len)) <= width:
            break
        columns.remove(name)
    return columns


def row(process: fleet_pb2.FleetProcess) -> Row:
    """Gives the cells of a process's row, for people."""
    status = process.status if process.HasField("status") else None
    return {
        "service": process.service,
        "instance": process.instance,
        "state": process.state,
        "pid": str(process.pid or ""),
        "address": "socket" if socket_path(process.address) else process.address,
        "req/s": f"{status.requests_per_second:.1f}" if status else "",
        "running": str(status.requests_in_flight) if status else "",
        "memory": f"{process.resident_bytes / 1e6:.0f} MB" if process.resident_bytes else "",
        "restarts": str(process.restarts),
        "up": duration(status.uptime.ToTimedelta().total_seconds()) if status else "",
        "note": _note(process),
    }


def _note(process: fleet_pb2.FleetProcess) -> str:
    if process.why:
        return process.why
    if process.HasField("application"):
        return process.application.source
    wrong = [_failing(check) for check in process.status.checks if not check.well]
    if process.status.registry_away:
        wrong.append(f"uses the last known instances: {process.status.registry_away}")
    if wrong:
        return "; ".join(wrong)
    silent = process.state == "ready" and process.kind in _ANSWERING and not process.HasField("status")
    return "does not answer" if silent else ""


def _failing(check: fleet_pb2.HealthCheck) -> str:
    return f"{check.name}: {check.detail}, since {check.since.ToDatetime():%H:%M:%S} UTC"


def duration(seconds: float) -> str:
    """Gives a time in short, for people: 12 s, 3 m, 2 h, 5 d."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def document(process: fleet_pb2.FleetProcess) -> dict[str, Any]:
    """Gives a process as JSON, for programs; `status` is null when the process does not answer."""
    return {
        "service": process.service,
        "instance": process.instance,
        "kind": fleet_pb2.ProcessKind.Name(process.kind).removeprefix(_KIND).lower(),
        "state": process.state,
        "pid": process.pid or None,
        "address": process.address,
        "restarts": process.restarts,
        "started_at": process.started_at.ToJsonString() if process.HasField("started_at") else None,
        "why": process.why,
        "log": process.log,
        "resident_bytes": process.resident_bytes,
        "application": _application(process.application) if process.HasField("application") else None,
        "status": _status(process.status) if process.HasField("status") else None,
    }


def _application(one: fleet_pb2.AdoptedApplication) -> dict[str, Any]:
    return {
        "source": one.source,
        "prefix": one.prefix,
        "access": one.access,
        "rate_class": one.rate_class,
        "routed": one.routed,
    }


def _status(status: fleet_pb2.GetStatusResponse) -> dict[str, Any]:
    return {
        "version": status.version,
        "uptime_seconds": round(status.uptime.ToTimedelta().total_seconds(), 3),
        "requests_served": status.requests_served,
        "requests_in_flight": status.requests_in_flight,
        "requests_per_second": round(status.requests_per_second, 3),
        "resident_bytes": status.resident_bytes,
        "registry_away": status.registry_away,
        "metrics_address": status.metrics_address,
        "checks": [_check(check) for check in status.checks],
    }


def _check(check: fleet_pb2.HealthCheck) -> dict[str, Any]:
    return {
        "name": check.name,
        "state": "ok" if check.well else "failing",
        "since": check.since.ToJsonString(),
        "detail": check.detail,
        "blocks": check.blocks,
    }
