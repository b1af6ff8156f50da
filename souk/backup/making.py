"""Makes a backup (`souk backup`): a consistent copy of a running system.

    BACKUP/data/...             files of the data directory; SQLite files by SQLite's own online backup
    BACKUP/postgres/order.dump  databases on a PostgreSQL server, by pg_dump
    BACKUP/bus/...              the streams of a fleet's own bus, as Valkey dumps them
    BACKUP/backup.json          the manifest of the data directory, and a digest of every file

It is written into BACKUP.partial, which is renamed when it is complete.
"""

import asyncio
import fcntl
import math
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from souk.admin.databases import DatabaseLocator, locate_databases, nothing_kept
from souk.backing import bus
from souk.backup import record
from souk.backup.dumps import connect, dump, dumping
from souk.backup.instant import Instant, one_instant
from souk.backup.record import BackupRecord
from souk.backup.source import begins_with, copy_if_there, regular_files
from souk.kernel import private_files
from souk.kernel.errors import ConfigurationError
from souk.mesh.canary.steering.store import FOLDER as CANARIES
from souk.mesh.identity.store import AUTHORITY
from souk.runtime.config.settings import Settings
from souk.runtime.data import manifest
from souk.runtime.data.database_file import MARKER, path_of, require_complete
from souk.runtime.data.layout import DataLayout
from souk.runtime.service import Service
from souk.store.sqlite.same_file import identity_of

Progress = Callable[[str], None]
_SQLITE = b"SQLite format 3\0"
_ENGINES = frozenset({"postgres", "valkey", "bus", "run", "logs", "fleet", "lost+found"})
"""Folders of the data directory that are not copied as files (PostgreSQL is dumped), or not at all."""
_PAGES = 2_000
_PRIVATE = 0o700


async def make_backup(
    settings: Settings, services: Iterable[Service], target: Path, progress: Progress
) -> BackupRecord:
    """Copies the system on a data directory into `target`; returns the record of the backup.

    Raises ConfigurationError, in one line, when there is no system, it cannot be read, or `target` already exists.
    """
    kept = _kept(settings.data.directory, target)
    try:
        with _beside(target) as partial:
            made = await _copied(settings, services, kept, partial, progress)
            await asyncio.to_thread(_finish, partial, made, target)
    except OSError as error:
        raise ConfigurationError(f"{target} cannot be written: {(error.strerror or str(error)).lower()}") from None
    except sqlite3.Error as error:
        raise ConfigurationError(f"a database cannot be copied: {error}") from error
    return made


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Gives an empty folder that this process alone uses, and removes it after the block unless it was renamed.

    Raises ConfigurationError when another process makes the same backup. A process that was killed may have left the
    folder; it is emptied then.
    """
    partial = target.with_name(f"{target.name}.partial")
    partial.mkdir(parents=True, exist_ok=True, mode=_PRIVATE)
    descriptor = os.open(partial, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if identity_of(partial) != identity_of(f"/dev/fd/{descriptor}"):
            raise BlockingIOError
        try:
            _empty(partial)
            yield partial
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except BlockingIOError:
        raise ConfigurationError(f"another backup is being made in {target}; name a new directory for each") from None
    finally:
        os.close(descriptor)


def _empty(partial: Path) -> None:
    for path in partial.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    partial.chmod(_PRIVATE)
    (partial / "data").mkdir(mode=_PRIVATE)


def _finish(partial: Path, made: BackupRecord, target: Path) -> None:
    record.write(partial, made)
    _sync(partial)
    partial.rename(target)
    private_files.sync_folder(target.parent)


def _kept(data: Path, target: Path) -> manifest.Manifest:
    if target.exists():
        raise ConfigurationError(f"{target} already exists; name a new directory for each backup")
    if not data.is_dir():
        raise ConfigurationError(f"there is no data directory {data}; name it with --data")
    found = manifest.read(data)
    if found is None or not found.services:
        raise ConfigurationError(nothing_kept(data))
    require_complete(data)
    return found


async def _copied(
    settings: Settings, services: Iterable[Service], kept: manifest.Manifest, partial: Path, progress: Progress
) -> BackupRecord:
    data = settings.data.directory
    databases = _databases(data, kept)
    async with _servers(settings, services, kept) as (urls, connections):
        progress(f"waiting for an instant at which nothing is written in {len(databases) + len(urls)} databases")
        streams = _BusCopy(data, kept)
        async with one_instant(databases, connections, streams.take) as instant:
            progress(f"found it; writers waited {instant.waited * 1000:.0f} ms")
            for path, reader in instant.files.items():
                await asyncio.to_thread(_copy_database, reader, _copy_of(path, data, partial))
                progress(f"copied {path.relative_to(data)}")
            for service, snapshot in instant.servers.items():
                await dump(urls[service], snapshot, partial / "postgres" / f"{service}.dump")
                progress(f"copied the database of {service}")
            await asyncio.to_thread(_copy_files, data, partial, instant)
            await asyncio.to_thread(streams.write, partial)
    files = {str(path.relative_to(partial)): record.described(path) for path in sorted(regular_files(partial))}
    progress(f"copied {len(files)} files")
    return BackupRecord(kept, _utc(instant.at), round(instant.waited, 3), files)


class _BusCopy:
    """A copy of a fleet's own bus, if it has one.

    It is taken at the instant: later, an event may be handled that the databases do not know yet; and earlier, one that
    their outboxes gave to the bus may not be in it.
    """

    def __init__(self, data: Path, kept: manifest.Manifest) -> None:
        self._socket = DataLayout(data.resolve()).bus_socket if kept.bus else None
        self._streams: dict[str, bytes] = {}

    async def take(self) -> None:
        """Copies the streams. Raises ConfigurationError when the bus does not answer."""
        if self._socket is not None:
            self._streams = await bus.copied(self._socket)

    def write(self, partial: Path) -> None:
        """Writes the copies into the backup."""
        for name, copy in self._streams.items():
            record.write_stream(partial, name, copy)


@asynccontextmanager
async def _servers(
    settings: Settings, services: Iterable[Service], kept: manifest.Manifest
) -> AsyncIterator[tuple[dict[str, str], dict[str, Any]]]:
    """Gives the URLs of the databases on a server, and connections to them, by service."""
    if kept.databases == manifest.FILES:
        yield {}, {}
        return
    dumping()
    where = locate_databases(settings.data, settings.topology)
    urls = {one.name: _url(where, one) for one in services if one.migrations is not None and where.has(one.name)}
    if missing := sorted(kept.services.keys() - urls.keys()):
        raise ConfigurationError(
            f"the service {missing[0]} has a database, and is not installed here: install it first"
        )
    async with AsyncExitStack() as stack:
        connections = {name: await stack.enter_async_context(connect(url)) for name, url in urls.items()}
        yield urls, connections


def _url(where: DatabaseLocator, service: Service) -> str:
    url = where.of(service.name).postgres
    if url is None:
        raise ConfigurationError("set SOUK_POSTGRES to where the databases are, as for `souk up`")
    return url.replace("{service}", service.name)


def _copy_of(path: Path, data: Path, partial: Path) -> Path:
    return partial / "data" / path.relative_to(data)


def _copy_database(reader: sqlite3.Connection, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=_PRIVATE)
    target.touch(mode=0o600)
    with closing(sqlite3.connect(target, isolation_level=None)) as copy:
        reader.backup(copy, pages=_PAGES)
        copy.execute("PRAGMA journal_mode = DELETE").fetchall()  # no second file; the next start sets the mode again
        (found,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise ConfigurationError(f"the database {target.name} is damaged: {found}")


def _copy_files(data: Path, partial: Path, instant: Instant) -> None:
    """Copies files as they were at the instant: files that were written later are left out, as a system that starts on
    the copy writes them again. The mesh's authority is copied as it is: it would be another one, and refuse nobody.
    Canaries are left out: they say which processes the system had, and not what its data is."""
    for path in _plain_files(data):
        if path not in instant.files and not path.is_relative_to(data / CANARIES):
            until = math.inf if path == data / AUTHORITY else instant.at
            copy_if_there(path, _copy_of(path, data, partial), until)


def _databases(data: Path, kept: manifest.Manifest) -> list[Path]:
    """Finds the SQLite files. Raises ConfigurationError when one that the manifest names is not among them."""
    found = sorted(
        path for path in regular_files(data, _ENGINES) if path.suffix == ".db" and begins_with(path, _SQLITE)
    )
    for service in kept.services if kept.databases == manifest.FILES else ():
        if (path := path_of(data, service)) not in found:
            raise ConfigurationError(f"{path} is not a database any more; restore a backup with `souk restore`")
    return found


def _plain_files(data: Path) -> Iterator[Path]:
    for path in regular_files(data, _ENGINES):
        temporary = path.name.startswith(".") or path.name.endswith(("-wal", "-shm", "-journal"))
        ours = path.name in {"souk.lock", MARKER, manifest.FILE} or ".log" in path.suffixes
        if not temporary and not ours:
            yield path


def _sync(folder: Path) -> None:
    for parent, _, names in os.walk(folder):
        for name in (".", *names):
            descriptor = os.open(Path(parent) / name, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
