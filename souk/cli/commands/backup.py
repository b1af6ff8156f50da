"""`souk backup` and `souk restore`."""

import asyncio
import json
import os
import signal
from collections.abc import Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click

from souk.backup.making import make_backup
from souk.backup.record import BackupRecord
from souk.backup.restoring import check_backup, restore_backup
from souk.cli.group import example
from souk.kernel.clock import SystemClock
from souk.runtime.config import entry_points
from souk.runtime.config.environment import from_environment

_DATA = click.option(
    "--data", type=click.Path(path_type=Path), help="The data directory of the system [default: var/souk]"
)
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output, when it is done.")


@click.command(
    epilog=example(
        """
souk backup /backups/monday                       of the system on var/souk, running or not
souk backup /backups/monday --data /var/lib/souk
souk backup /backups/$(date +%F) --json | jq .waited
"""
    )
)
@click.argument("directory", type=click.Path(path_type=Path))
@_DATA
@_JSON
def backup(directory: Path, data: Path | None, as_json: bool) -> None:
    """Copies the system on a data directory into DIRECTORY, which must not exist yet.

    The system may go on working: writers wait for a moment, and all databases are copied as they were in that
    moment, as if the power had failed then. A fleet must be running for that, as its PostgreSQL runs with it. For
    databases on another server, SOUK_POSTGRES says where they are. A real card provider keeps its own records.

    The copy holds secrets and personal data; only its owner can read it. Exits with 0 when the copy is whole. On
    failure or Ctrl-C nothing is left.
    """
    settings = from_environment({"data": data})
    _report(_run(make_backup(settings, entry_points.loadable_services(), directory, _progress)), directory, as_json)


@click.command(
    epilog=example(
        """
souk restore /backups/monday --data /var/lib/souk2
souk restore /backups/monday --check              only compares every file with its digest
SOUK_POSTGRES=postgresql://admin:secret@db/postgres souk restore /backups/monday --data /var/lib/souk2
"""
    )
)
@click.argument("directory", type=click.Path(path_type=Path))
@_DATA
@click.option("--check", is_flag=True, help="Checks the backup, and restores nothing.")
@_JSON
def restore(directory: Path, data: Path | None, check: bool, as_json: bool) -> None:
    """Checks the backup in DIRECTORY and restores it into a data directory, which must be empty or missing.

    Start the system on it as the original was started. Orders that were on their way go on. Databases on a server
    are restored into new ones on the server that SOUK_POSTGRES names. With --redis, empty that server first.

    Exits with 0 when all of it is restored. On failure or Ctrl-C the data directory is empty again.
    """
    if check:
        _report(check_backup(directory, _progress), directory, as_json)
        return
    settings = from_environment({"data": data}).data
    _report(_run(restore_backup(directory, settings, SystemClock(), _progress)), settings.directory, as_json)


def _run(work: Coroutine[Any, Any, BackupRecord]) -> BackupRecord:
    os.umask(0o077)  # only their owner may read the files that are made
    return asyncio.run(until_stopped(work))


def _progress(line: str) -> None:
    click.echo(line, err=True)


def _report(found: BackupRecord, where: Path, as_json: bool) -> None:
    if as_json:
        summary = {name: value for name, value in asdict(found).items() if name != "files"}
        click.echo(json.dumps({"directory": str(where), "octets": found.octets, "files": len(found.files), **summary}))
        return
    click.echo(f"{where}: {len(found.files)} files, {found.octets / 1e6:.1f} MB, as of {found.made_at}")


T = TypeVar("T")


async def until_stopped(work: Coroutine[Any, Any, T]) -> T:
    """Runs `work` and returns its result. SIGTERM and Ctrl-C cancel it, so that it cleans up; then click.Abort is
    raised."""
    task, loop = asyncio.ensure_future(work), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        raise click.Abort from None
