"""Changes the databases of a running system from outside, and makes it deliver its events again, as a broker may."""

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
    number = change(books, service, _AGAIN)
    sql = "SELECT count(*) AS n FROM souk_outbox_delivery WHERE state = 'pending'"
    until(lambda: books.rows(service, sql)[0]["n"] == 0, PATIENCE, f"the events of {service} are delivered again")
    return number


def change(books: Books, service: str, sql: str) -> int:
    """Runs a statement in the database of a service; gives how many rows it changed."""
    if books.server is not None:
        return _on_server(books.server.replace("{service}", service), sql)
    if on_postgres(books.data):
        return _on_server(superuser_url(books.data, f"{PREFIX}{service}"), sql)
    return _on_sqlite(books, service, sql)


def _on_sqlite(books: Books, service: str, sql: str) -> int:
    with closing(sqlite3.connect(books.data / f"{service}.db", timeout=PATIENCE)) as connection, connection:
        return connection.execute(sql).rowcount


def _on_server(url: str, sql: str) -> int:
    async def execute() -> int:
        connection = await asyncpg.connect(url)
        try:
            return int((await connection.execute(sql)).split()[-1])
        finally:
            await connection.close()

    return asyncio.run(execute())
