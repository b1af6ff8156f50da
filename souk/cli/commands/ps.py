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

from souk.admin.documents import isolation_lines, process_document, process_note
from souk.cli.group import example
from souk.cli.operating import DATA, PATIENCE, operate
from souk.cli.output.tables import Row, plain, show, table
from souk.cli.output.terminal import print_line
from souk.kernel.addresses import socket_path

EVERY = 1.0
COLUMNS = (
    *("service", "instance", "state", "pid", "address", "req/s", "running", "memory", "restarts", "up", "version"),
    "note",
)
RIGHT = frozenset({"pid", "req/s", "running", "memory", "restarts", "up"})
DISPENSABLE = ("note", "address", "version", "service", "running", "memory", "req/s")
"""Columns that are left out if there is no room, in this order; without their column, notes are below the table."""
_KEY_COLUMNS = ("state", "pid", "address", "restarts", "note")
"""Columns of which a change makes `--watch` print a process's line again."""


@click.command(
    epilog=example(
        """
souk ps                                   the system on var/souk
souk ps --watch --data /var/lib/souk      until Ctrl-C; in a pipe, a line for each change
souk ps --targets > targets.json          where Prometheus finds their metrics
souk ps --json | jq '.[] | select(.state != "ready")'
"""
    )
)
@DATA
@click.option("--json", "as_json", is_flag=True, help="One JSON document; with --watch, one in each line.")
@click.option("--watch", is_flag=True, help="Updates the list until Ctrl-C.")
@click.option("--targets", "as_targets", is_flag=True, help="Where metrics are, for Prometheus' file_sd_configs.")
def ps(data: Path | None, as_json: bool, watch: bool, as_targets: bool) -> None:
    """Lists the processes of the system that runs on a data directory.

    `req/s` are requests answered in each of the last few seconds, `running` those at work now, `memory` what
    the process and those it started hold (shared memory is divided among them), `restarts` how often it died
    and was started again, `note` why it is not ready, or which dependency is unavailable, and since when.
    """

    async def follow(fleet: "fleet_pb2_grpc.FleetAsyncStub") -> None:
        if as_targets:
            click.echo(json.dumps(targets(await _listed(fleet)), indent=2))
        elif watch:
            await _watch(fleet, as_json)
        elif as_json:
            click.echo(json.dumps([process_document(process) for process in await _listed(fleet)], indent=2))
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
                    json.dumps(process_document(process))
                    if as_json
                    else "  ".join(cells[name] or "-" for name in COLUMNS)
                )
        await asyncio.sleep(EVERY)


def show_processes(processes: Sequence[fleet_pb2.FleetProcess]) -> None:
    """Prints processes: as a table that fits on the terminal, or with every column in a pipe."""
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(drawn(processes, console.width))
    else:
        show(COLUMNS, [row(process) for process in processes], RIGHT)
        for line in isolation_lines(processes):
            print_line(line)


def drawn(processes: Sequence[fleet_pb2.FleetProcess], width: int) -> Group:
    """Makes a table of the columns for which there is room; if notes are not among them, they are below it, in full.

    Below it is also said who is isolated, in a mesh."""
    rows = [row(process) for process in processes]
    columns = fitting(rows, width)
    notes = [f"{one['instance']}: {one['note']}" for one in rows if one["note"]] if "note" not in columns else []
    notes += isolation_lines(processes)
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
        "version": process.version or (status.version if status else ""),
        "state": process.state,
        "pid": str(process.pid or ""),
        "address": "socket" if socket_path(process.address) else process.address,
        "req/s": f"{status.requests_per_second:.1f}" if status else "",
        "running": str(status.requests_in_flight) if status else "",
        "memory": f"{process.resident_bytes / 1e6:.0f} MB" if process.resident_bytes else "",
        "restarts": str(process.restarts),
        "up": duration(status.uptime.ToTimedelta().total_seconds()) if status else "",
        "note": process_note(process),
    }


def targets(processes: Sequence[fleet_pb2.FleetProcess]) -> list[dict[str, Any]]:
    """Gives the processes that show metrics as Prometheus reads them from a file; each has the label `process`."""
    return [
        {"targets": [one.status.metrics_address], "labels": {"process": one.instance}}
        for one in processes
        if one.status.metrics_address
    ]


def duration(seconds: float) -> str:
    """Gives a time in short, for people: 12 s, 3 m, 2 h, 5 d."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
