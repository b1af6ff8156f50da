"""Migrations: numbered files of plain SQL, applied forward only, under a lock.

    0001_orders.sql                                     the same for every engine
    0002_search.sqlite.sql, 0002_search.postgres.sql    where they differ

Numbers start at 1 and have no gaps. A file that was applied must never change: its checksum is
compared at every start. All pending migrations are applied in one transaction, so a database is never
between two states. If several processes start at once, one applies them, and the others wait and find nothing to do.
"""

import hashlib
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from souk.kernel.errors import ConfigurationError, StoreError, StoreUnavailable
from souk.store.database import Database, Transaction

PLATFORM = "souk"
_IS_THERE = {
    "sqlite": "SELECT 1 AS one FROM sqlite_master WHERE name = 'souk_migrations'",
    "postgres": "SELECT 1 AS one WHERE to_regclass('souk_migrations') IS NOT NULL",
}
"""By engine, a query that finds the table of what was applied."""
_FILE = re.compile(r"(?P<number>\d{4})_(?P<name>\w+?)(?:\.(?P<engine>sqlite|postgres))?\.sql")
_TABLE = """
CREATE TABLE IF NOT EXISTS souk_migrations (
    component  TEXT NOT NULL,
    number     BIGINT NOT NULL,
    name       TEXT NOT NULL,
    checksum   TEXT NOT NULL,
    applied_at BIGINT NOT NULL,
    PRIMARY KEY (component, number)
)"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file; `checksum` is the SHA-256 of its text with its line ends as LF."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.replace("\r\n", "\n").encode()).hexdigest()


def platform_migrations() -> Traversable:
    """Returns the folder of the migrations of the platform's own tables, the component PLATFORM."""
    return files("souk.store") / "migrations"


async def migrate(database: Database, folder: Traversable, component: str) -> int:
    """Brings `component` up to the newest migration in `folder`; returns how many were applied.

    Raises ConfigurationError when the numbers have gaps or repeat, when a file differs from what was applied,
    when the database is newer than the folder, or when a statement fails.
    """
    known = read_migrations(folder, database.dialect.name)

    async def work(tx: Transaction) -> int:
        await tx.lock("souk_migrations")
        await tx.execute(_TABLE)
        pending = await _pending(tx, known, component)
        for migration in pending:
            await _apply(tx, migration, component)
        return len(pending)

    return await database.run(work)


async def pending(database: Database, folder: Traversable, component: str) -> Sequence[Migration]:
    """Reads which migrations in `folder` are not applied to `component` yet, and writes nothing.

    Raises ConfigurationError for the same as `migrate`.
    """
    known = read_migrations(folder, database.dialect.name)

    async def work(tx: Transaction) -> Sequence[Migration]:
        if await tx.fetch_one(_IS_THERE[tx.dialect.name]) is None:
            return known
        return await _pending(tx, known, component)

    return await database.read(work)


def read_migrations(folder: Traversable, engine: str) -> list[Migration]:
    """Reads the migrations of a folder for one engine, in order.

    Raises ConfigurationError when their numbers have gaps or repeat.
    """
    found: dict[int, Migration] = {}
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        match = _FILE.fullmatch(file.name)
        if match is None or match["engine"] not in (None, engine):
            continue
        number = int(match["number"])
        if number in found:
            raise ConfigurationError(f"migration {file.name}: number {number} is taken by {found[number].name}")
        found[number] = Migration(number, match["name"], file.read_text("utf-8"))
    if sorted(found) != list(range(1, len(found) + 1)):
        raise ConfigurationError(f"migrations {sorted(found)} of {folder} do not count 1, 2, 3, ...")
    return [found[number] for number in sorted(found)]


async def _pending(tx: Transaction, known: Sequence[Migration], component: str) -> Sequence[Migration]:
    rows = await tx.fetch(
        "SELECT number, name, checksum FROM souk_migrations WHERE component = $1 ORDER BY number", component
    )
    if len(rows) > len(known):
        raise ConfigurationError(
            f"the database is newer than this program: {component} is at migration {len(rows)}, known are {len(known)}"
        )
    for row, migration in zip(rows, known, strict=False):
        if row["checksum"] != migration.checksum:
            raise ConfigurationError(
                f"migration {component} {migration.number:04} ({migration.name}) has changed since it was applied"
            )
    return known[len(rows) :]


async def _apply(tx: Transaction, migration: Migration, component: str) -> None:
    try:
        for statement in statements(migration.sql):
            await tx.execute(statement)
    except StoreUnavailable:
        raise
    except StoreError as error:
        raise ConfigurationError(f"migration {component} {migration.number:04} ({migration.name}): {error}") from error
    await tx.execute(
        "INSERT INTO souk_migrations (component, number, name, checksum, applied_at)"
        f" VALUES ($1, $2, $3, $4, {tx.dialect.now})",
        *(component, migration.number, migration.name, migration.checksum),
    )


def statements(sql: str) -> Iterator[str]:
    """Splits a script into its statements.

    SQLite's own scanner finds the ends of statements. It knows comments, quotes and triggers, but not the
    dollar quotes of PostgreSQL, so functions for PostgreSQL are written with quoted bodies.
    """
    start = 0
    for match in re.finditer(";", sql):
        if sqlite3.complete_statement(sql[start : match.end()]):
            yield sql[start : match.end()].strip()
            start = match.end()
    rest = re.sub(r"--[^\n]*|/\*.*?\*/", "", sql[start:], flags=re.DOTALL).strip()
    if rest:
        yield sql[start:].strip()
