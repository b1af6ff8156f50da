"""Makes a running system deliver its events again, as a broker may."""

import asyncio
import sqlite3
from contextlib import closing

import asyncpg

from souk.backing.postgres.roles import PREFIX
from souk.testing.system import until
from tests.market.books import Books
from tests.market.rows import on_postgres, superuser_url

PATIENCE = 60.0
_AGAIN = "UPDATE souk_outbox_delivery SET state = 'pending' WHERE state = 'delivered'"


def deliver_again(books: Books, service: str) -> int:
    """Makes all events that a service has delivered due again, waits until they were; gives their number."""
    number = asyncio.run(_on_postgres(books, service)) if on_postgres(books.data) else _on_sqlite(books, service)
    sql = "SELECT count(*) AS n FROM souk_outbox_delivery WHERE state = 'pending'"
    until(lambda: books.rows(service, sql)[0]["n"] == 0, PATIENCE, f"the events of {service} are delivered again")
    return number


def _on_sqlite(books: Books, service: str) -> int:
    with closing(sqlite3.connect(books.data / f"{service}.db", timeout=PATIENCE)) as connection, connection:
        return connection.execute(_AGAIN).rowcount


async def _on_postgres(books: Books, service: str) -> int:
    connection = await asyncpg.connect(superuser_url(books.data, f"{PREFIX}{service}"))
    try:
        return int((await connection.execute(_AGAIN)).split()[-1])
    finally:
        await connection.close()
