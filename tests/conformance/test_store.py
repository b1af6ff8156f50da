"""Both adapters of the database port under its conformance suite."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from souk.store.database import Database
from souk.store.postgres.database import PostgresDatabase
from souk.store.sqlite.database import SqliteDatabase
from souk.testing.store.grouped_suite import GroupedSuite
from souk.testing.store.likely_suite import LikelySuite
from souk.testing.store.records_suite import IdempotencySuite, MigrationSuite
from souk.testing.store.streams_suite import EventStoreSuite, SnapshotsSuite
from souk.testing.store.suite import Opened, StatementSuite
from souk.testing.store.transaction_suite import TransactionSuite
from souk.testing.store.waiting_suite import AfterCommitSuite, CancellationSuite, ForeignAwaitSuite, LockSuite


class Suites(
    StatementSuite,
    TransactionSuite,
    LikelySuite,
    GroupedSuite,
    AfterCommitSuite,
    ForeignAwaitSuite,
    LockSuite,
    CancellationSuite,
    EventStoreSuite,
    SnapshotsSuite,
    IdempotencySuite,
    MigrationSuite,
):
    @pytest.fixture(autouse=True)
    async def nothing_goes_wrong_unseen(self) -> AsyncIterator[None]:
        reported: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, what: reported.append(what))
        yield
        assert reported == []


class TestSqlite(Suites):
    @pytest.fixture
    async def opened(self, tmp_path: Path) -> AsyncIterator[Opened]:
        databases: list[Database] = []

        async def open_one() -> Database:
            databases.append(await SqliteDatabase.open(tmp_path / "store.db"))
            return databases[-1]

        yield open_one
        for database in databases:
            await database.close()


class TestPostgres(Suites):
    @pytest.fixture
    async def opened(self, postgres_url: str) -> AsyncIterator[Opened]:
        databases: list[Database] = []

        async def open_one() -> Database:
            databases.append(await PostgresDatabase.open(postgres_url))
            return databases[-1]

        yield open_one
        for database in databases:
            await database.close()
