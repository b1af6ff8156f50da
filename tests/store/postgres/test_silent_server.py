"""A server that answers no more, as behind a network that drops every packet: what waits for it can be ended."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from souk.store.database import Transaction
from souk.store.postgres import connection
from souk.store.postgres.database import PostgresDatabase
from souk.testing.postgres import TemporaryPostgres

PATIENCE = 120.0
"""Seconds after which a test that hangs has failed."""
Use = Callable[[PostgresDatabase, "Network"], Awaitable[object]]


class Network:
    """Stands between a client and a server at unix sockets. Once `silent` is set, it passes nothing on."""

    def __init__(self, server: Path) -> None:
        self.silent, self._server = asyncio.Event(), server

    @asynccontextmanager
    async def at(self, socket: Path) -> AsyncIterator[None]:
        """Passes on what comes to a socket, inside the block."""
        passing: list[asyncio.Task[None]] = []
        writers: list[asyncio.StreamWriter] = []

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            if not self.silent.is_set():
                answers, there = await asyncio.open_unix_connection(self._server)
                writers.append(there)
                passing.append(asyncio.create_task(self._pass(reader, there)))
                passing.append(asyncio.create_task(self._pass(answers, writer)))

        async with await asyncio.start_unix_server(connected, socket):
            yield
            for task in passing:
                task.cancel()
            for writer in writers:
                writer.close()
            await asyncio.gather(*passing, *(one.wait_closed() for one in writers), return_exceptions=True)

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            if not self.silent.is_set():
                target.write(data)
        if not self.silent.is_set():
            target.close()


@pytest.fixture
def _short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CLEANED_UP_WITHIN", 0.5)
    monkeypatch.setattr(connection, "CLOSED_WITHIN", 2.0)


async def _read(tx: Transaction) -> object:
    return await tx.fetch("SELECT 1 AS one")


async def _silent_at_first(database: PostgresDatabase, network: Network) -> None:
    network.silent.set()
    await database.read(_read, single=True)


async def _silent_in_a_read(database: PostgresDatabase, network: Network) -> None:
    await database.read(_then_silent(network))


async def _silent_in_a_transaction(database: PostgresDatabase, network: Network) -> None:
    await database.run(_then_silent(network))


async def _silent_under_a_lock(database: PostgresDatabase, network: Network) -> None:
    async def work(tx: Transaction) -> None:
        await tx.lock("shelf")
        await _then_silent(network)(tx)

    await database.run(work)


def _then_silent(network: Network) -> Callable[[Transaction], Awaitable[None]]:
    async def work(tx: Transaction) -> None:
        await _read(tx)
        network.silent.set()
        await _read(tx)

    return work


@pytest.mark.usefixtures("_short_limits")
@pytest.mark.parametrize("use", [_silent_at_first, _silent_in_a_read, _silent_in_a_transaction, _silent_under_a_lock])
async def test_who_waits_for_it_is_cancelled_and_the_database_is_closed(
    postgres_url: str, postgres_server: TemporaryPostgres, tmp_path: Path, use: Use
) -> None:
    name = ".s.PGSQL.5432"
    network = Network(postgres_server.socket_directory / name)
    async with asyncio.timeout(PATIENCE), network.at(tmp_path / name):
        database = await PostgresDatabase.open(postgres_url.partition("?")[0] + f"?host={tmp_path}", most=2)
        using = asyncio.ensure_future(use(database, network))
        await network.silent.wait()
        using.cancel()
        await asyncio.wait([using])
        assert using.cancelled()
        await database.close()
