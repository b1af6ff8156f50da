"""Checks a backup and restores it into an empty data directory (`souk restore`).

During a restore the file DATA/souk.restoring exists, and no system starts on the directory. If the restore fails or
is cancelled, the directory is emptied again; only a kill leaves it as it is.
"""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import replace
from pathlib import Path

from souk.admin.process_record import ProcessesFile
from souk.backing import bus
from souk.backing.credentials import Credentials
from souk.backing.postgres.roles import PostgresServer, is_template
from souk.backup import record
from souk.backup.dumps import bring_back, dumping
from souk.backup.record import BackupRecord
from souk.backup.source import copy_file, reading
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError
from souk.runtime.config.settings import SERVICE_PLACEHOLDER, DataSettings
from souk.runtime.data import manifest
from souk.runtime.data.database_file import UNFINISHED, path_of
from souk.runtime.data.directory import held, make, unusable
from souk.runtime.data.layout import DataLayout
from souk.runtime.data.manifest import Manifest
from souk.supervisor.backing_processes import Engines
from souk.supervisor.fleet import Fleet
from souk.supervisor.process_spec import SupervisorContext
from souk.telemetry.proc import boot

Progress = Callable[[str], None]
_LEFT_ALONE = frozenset({"lost+found", "souk.lock"})


async def restore_backup(backup: Path, settings: DataSettings, clock: Clock, progress: Progress) -> BackupRecord:
    """Checks a backup and restores it; returns its record.

    Raises ConfigurationError, in one line, when the backup is damaged or of a newer version, the data directory is
    not empty, or the databases on a given server are not.
    """
    found = record.read(backup)
    _require_empty(settings.directory)
    await asyncio.to_thread(_check, backup, found, progress)
    _require_server(found.manifest, settings)
    with held(settings.directory):
        try:
            (settings.directory / UNFINISHED).touch(mode=0o600)
            await _restored(backup, found, settings, clock, progress)
            (settings.directory / UNFINISHED).unlink()
        except BaseException as error:
            await asyncio.to_thread(_empty, settings.directory)
            if isinstance(error, OSError):
                raise unusable(settings.directory, error) from None
            raise
    return found


def check_backup(backup: Path, progress: Progress) -> BackupRecord:
    """Checks a backup without restoring it; returns its record. Raises ConfigurationError when it is damaged."""
    found = record.read(backup)
    _check(backup, found, progress)
    return found


def _check(backup: Path, found: BackupRecord, progress: Progress) -> None:
    with reading(backup):
        record.check(backup, found, progress)


def _require_empty(data: Path) -> None:
    if data.exists() and (not data.is_dir() or {path.name for path in data.iterdir()} - _LEFT_ALONE):
        raise ConfigurationError(f"{data} is not empty; restore into a new directory, named with --data")


def _require_server(kept: Manifest, settings: DataSettings) -> None:
    if kept.databases == manifest.FILES and settings.postgres is not None:
        raise ConfigurationError("this backup is of SQLite files: leave out --postgres and SOUK_POSTGRES")
    if kept.databases == manifest.GIVEN and settings.postgres is None:
        raise ConfigurationError("this backup is of databases on a PostgreSQL server: name one with --postgres")
    if kept.databases != manifest.FILES:
        dumping("pg_restore")


async def _restored(
    backup: Path, found: BackupRecord, settings: DataSettings, clock: Clock, progress: Progress
) -> None:
    data = settings.directory
    await asyncio.to_thread(_copy, backup / "data", data)
    progress(f"copied {sum(1 for name in found.files if name.startswith('data/'))} files")
    kept = replace(found.manifest, services=_openings(data, found.manifest))
    if kept.databases != manifest.FILES:
        kept = replace(kept, databases=manifest.OWN if settings.postgres is None else manifest.GIVEN)
        async with _databases(settings, kept, clock) as urls:
            for service, url in urls.items():
                await bring_back(url, backup / "postgres" / f"{service}.dump")
                progress(f"brought back the database of {service}")
    if kept.bus:
        async with _engines(settings, clock) as engines:
            streams = await asyncio.to_thread(record.streams, backup)
            await bus.bring_back(await engines.bus(), streams)
        progress(f"brought back the bus, with {len(streams)} streams")
    manifest.write(data, kept)


def _openings(data: Path, kept: Manifest) -> dict[str, int]:
    """Reads from each copied file how often it had been opened."""
    if kept.databases != manifest.FILES:
        return dict(kept.services)
    return {name: _opening(path_of(data, name)) for name in kept.services}


def _opening(path: Path) -> int:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as database:
        (number,) = database.execute("PRAGMA user_version").fetchone()
    return int(number)


def _copy(source: Path, data: Path) -> None:
    for path in sorted(source.rglob("*")):
        target = data / path.relative_to(source)
        if path.is_dir():
            make(target)
        else:
            copy_file(path, target)


@asynccontextmanager
async def _databases(settings: DataSettings, kept: Manifest, clock: Clock) -> AsyncIterator[Mapping[str, str]]:
    """Gives the URL of a new database for each service, on the given server, or on the fleet's own PostgreSQL, which
    runs inside the block."""
    layout = DataLayout(settings.directory.resolve())
    names = sorted(kept.services)
    if settings.postgres is not None:
        make(layout.processes.parent)
        async with _on_given(settings.postgres, Credentials(layout.credentials), names) as urls:
            yield urls
        return
    async with _engines(settings, clock) as engines:
        yield (await engines.databases(names)).urls


@asynccontextmanager
async def _engines(settings: DataSettings, clock: Clock) -> AsyncIterator[Engines]:
    """Gives what starts the engines of a fleet, which end with the block."""
    layout = DataLayout(settings.directory.resolve())
    async with AsyncExitStack() as stack:
        layout.prepare()
        stack.callback(layout.forget_sockets)
        record_ = ProcessesFile(layout.processes, boot())
        fleet = Fleet()
        stack.push_async_callback(fleet.end)
        context = SupervisorContext(clock, record_, layout.log, lambda view: None, lambda name, lines: None)
        yield Engines(settings, layout, context, fleet)


@asynccontextmanager
async def _on_given(url: str, credentials: Credentials, names: Sequence[str]) -> AsyncIterator[Mapping[str, str]]:
    """Gives the URLs of existing databases, or of databases that it makes, which are removed again if the block
    fails."""
    if is_template(url):
        yield {name: url.replace(SERVICE_PLACEHOLDER, name) for name in names}
        return
    server = PostgresServer(url, credentials, ours=False)
    try:
        await server.provide(names)
        yield {name: server.service_url(name) for name in names}
    except BaseException:
        with suppress(ConfigurationError):  # what went wrong is said already
            await server.withdraw()
        raise


def _empty(data: Path) -> None:
    for path in data.iterdir():
        if path.name in _LEFT_ALONE:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
