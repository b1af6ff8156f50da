"""Opens the console's file: makes its tables, and sets a damaged one aside."""

import sqlite3
from contextlib import closing, suppress
from importlib.resources import files
from pathlib import Path

from souk.kernel import private_files
from souk.kernel.errors import ConfigurationError
from souk.store.migrations import read_migrations, statements

FILE = "console.db"
PATIENCE = 1.0
"""Seconds to wait for a lock that another process has on the file."""
_SET_ASIDE = ".damaged"
_SCHEMA = files("souk.console.telemetry.store") / "schema"
_MEBIBYTE = 1 << 20
_SPARE = 1.25
"""How much larger than its limit the file may become for a moment: what is evicted makes room only afterwards."""


def open_for_writing(path: Path, megabytes: int) -> sqlite3.Connection:
    """Opens the file, which never becomes larger than a quarter above the limit. Raises sqlite3.Error.

    Raises ConfigurationError when a newer version has written it.
    """
    with suppress(FileExistsError):
        private_files.create_empty(path)
    connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # counts for a file that has no tables yet
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA journal_size_limit = {8 * _MEBIBYTE}").fetchall()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        connection.execute(f"PRAGMA max_page_count = {int(megabytes * _MEBIBYTE * _SPARE) // size}").fetchall()
        _migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Opens the file for reads alone. Raises sqlite3.Error."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=PATIENCE, isolation_level=None
    )
    try:
        connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    connection.row_factory = sqlite3.Row
    return connection


def set_aside(path: Path) -> Path:
    """Gives a damaged file another name, so that a new one can be begun; returns it. One damaged file is kept."""
    aside = path.with_name(path.name + _SET_ASIDE)
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).replace(aside.with_name(aside.name + suffix))
    path.replace(aside)
    return aside


def used_bytes(connection: sqlite3.Connection) -> int:
    """Bytes of the file that are in use."""
    numbers = [
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    ]
    return int((numbers[0] - numbers[1]) * numbers[2])


def _migrate(connection: sqlite3.Connection) -> None:
    known = read_migrations(_SCHEMA, "sqlite")
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > len(known):
            raise ConfigurationError(f"a newer version of souk has written {FILE}: it has schema {version}")
        for migration in known[version:]:
            for statement in statements(migration.sql):
                with closing(connection.execute(statement)):
                    pass
        connection.execute(f"PRAGMA user_version = {len(known)}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
