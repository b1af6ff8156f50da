"""Checks, before the SQLite file of a service is opened, that it is the one that its data directory knows.

A file records its installation (`application_id`) and how often it was opened (`user_version`), and the manifest
records both for every service. While a process uses the file, DATA/<service>/souk.running names its inode. After a
kill that is still the inode of the file; in a copy of a running system the file has another.
"""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from zlib import crc32

from souk.kernel import private_files
from souk.kernel.errors import ConfigurationError
from souk.runtime.data import manifest
from souk.runtime.data.manifest import Manifest
from souk.telemetry.logs import logger

MARKER = "souk.running"
UNFINISHED = "souk.restoring"
"""A file that is in a data directory while a backup is restored into it."""
_log = logger("hosting")


def path_of(data: Path, service: str) -> Path:
    """Gives the path of a service's SQLite file."""
    return data / f"{service}.db"


def require_complete(data: Path, services: Collection[str] | None = None) -> None:
    """Checks that the files that the manifest names are in the directory: all, or those of `services`.

    Raises ConfigurationError, in one line, when one is missing, or when a restore was not finished.
    """
    if (data / UNFINISHED).exists():
        raise ConfigurationError(
            f"a restore into {data} was not finished; empty this directory, and restore the backup again"
        )
    found = manifest.read(data)
    if found is None or found.databases != manifest.FILES:
        return
    missing = [name for name in found.services if not path_of(data, name).exists()]
    missing = missing if services is None else [name for name in missing if name in services]
    if missing:
        files = ", ".join(f"{name}.db" for name in missing)
        raise ConfigurationError(
            f"{data} is not whole: {files} is missing, and a new one would be empty; "
            "bring it back, or restore a backup with `souk restore`"
        )


@contextmanager
def whole_file(data: Path, service: str) -> Iterator[None]:
    """Checks the file of a service before the block, in which this process alone uses it.

    The block opens the file, and calls `enter` to record that. Raises ConfigurationError, in one line, when the
    file is not the one that belongs here.
    """
    require_complete(data, [service])
    kept = manifest.claim(data, manifest.MONOLITH, manifest.FILES)
    path = path_of(data, service)
    _require_no_stray_log(path)
    marker = data / service / MARKER
    require_original(path, marker)
    if path.exists():
        _require_same(path, service, kept)
    try:
        yield
    finally:
        with suppress(OSError):
            marker.unlink(missing_ok=True)


def enter(data: Path, service: str) -> None:
    """Records that a file was opened: in its header, in the manifest and in the marker. On a full disk it only
    logs a warning, so that the system starts, and the next start counts on from the last number that was recorded."""
    path = path_of(data, service)
    try:
        kept = manifest.claim(data, manifest.MONOLITH, manifest.FILES)
        number = kept.services.get(service, 0) + 1
        _stamp(path, kept, number)
        manifest.change(data, lambda found: _counted(found or kept, service, number))
        mark(path, data / service / MARKER)
    except (ConfigurationError, OSError, sqlite3.Error) as error:
        _log.warning("the opening of a database could not be recorded", service=service, error=str(error))


def _counted(found: Manifest, service: str, number: int) -> Manifest:
    return replace(found, services={**found.services, service: number})


def _require_no_stray_log(path: Path) -> None:
    if not path.exists() and (stray := path.with_name(f"{path.name}-wal")).exists():
        raise ConfigurationError(
            f"{stray} is here without {path.name}: this is part of a copy; copy all of it, or restore a backup"
        )


def require_original(path: Path, marker: Path) -> None:
    """Checks a marker that a process left. Raises ConfigurationError when it names another file than that at `path`."""
    try:
        known = marker.read_text().strip()
    except OSError:
        return
    if known and path.exists() and known != _identity(path):
        raise ConfigurationError(
            f"{path} is a copy that was made while the system ran, in which money may be missing; use `souk backup` "
            f"and `souk restore` instead (if there is no other copy: remove {marker}, and check the orders)"
        )


def _identity(path: Path) -> str:
    return str(path.stat().st_ino)


def _require_same(path: Path, service: str, kept: Manifest) -> None:
    expected = kept.services.get(service, 0)
    if not expected:
        return  # the file is from before manifests, or the manifest was lost
    try:
        installation, number = _head(path)
    except sqlite3.Error:
        return  # the store, which opens it next, gives a better message
    if installation not in (0, _short(kept)):
        raise ConfigurationError(f"{path} belongs to another installation; bring back the one of this directory")
    if installation and not expected <= number <= expected + 1:
        raise ConfigurationError(
            f"{path} is of another time than {path.parent} (opening {number}, expected {expected}); "
            "files of one system go together: bring back the one of this directory, or restore a backup as a whole"
        )


def _head(path: Path) -> tuple[int, int]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        (installation,) = connection.execute("PRAGMA application_id").fetchone()
        (number,) = connection.execute("PRAGMA user_version").fetchone()
    return int(installation), int(number)


def _stamp(path: Path, kept: Manifest, number: int) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA application_id = {_short(kept)}")
        connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")


def _short(kept: Manifest) -> int:
    """Gives a checksum of the installation's id in 31 bits, never 0, as `application_id` needs it."""
    return (crc32(kept.installation.encode()) & 0x7FFFFFFF) or 1


def mark(path: Path, marker: Path) -> None:
    """Writes the inode of the file in use into the marker, which is removed when the process ends normally."""
    private_files.replace(marker, _identity(path).encode(), durable=False)
