"""Reads rows of a service's database: SQLite in the data directory, or a fleet's PostgreSQL."""

import asyncio
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg

from souk.backing.postgres.roles import PREFIX
from souk.backing.postgres.server import SUPERUSER

Row = dict[str, Any]
_PLACE = re.compile(r"\?")


def sqlite_rows(path: Path, sql: str, *values: object) -> list[Row]:
    """Reads rows of a SQLite file."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10.0)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql, values)]


def postgres_rows(data: Path, database: str, sql: str, *values: object) -> list[Row]:
    """Reads rows of a database of the fleet that runs on a data directory. `sql` is written for SQLite."""
    return server_rows(superuser_url(data, f"{PREFIX}{database}"), sql, *values)


def server_rows(url: str, sql: str, *values: object) -> list[Row]:
    """Reads rows of a database on a server. `sql` is written for SQLite."""
    return asyncio.run(_fetch(url, _numbered(sql), values))


def on_postgres(data: Path) -> bool:
    """Tells whether a fleet has a PostgreSQL server of its own in this data directory."""
    return (data / "postgres").is_dir()


async def _fetch(url: str, sql: str, values: tuple[object, ...]) -> list[Row]:
    connection = await asyncpg.connect(url)
    try:
        return [dict(row) for row in await connection.fetch(sql, *values)]
    finally:
        await connection.close()


def superuser_url(data: Path, database: str = "postgres") -> str:
    """Gives the URL of a fleet's PostgreSQL for its superuser."""
    password = json.loads((data / "fleet" / "credentials.json").read_text())[SUPERUSER]
    return f"postgresql://{SUPERUSER}:{password}@/{database}?host={quote(str(data / 'postgres'))}"


def _numbered(sql: str) -> str:
    numbers: Iterator[int] = count(1)
    return _PLACE.sub(lambda _: f"${next(numbers)}", sql)
