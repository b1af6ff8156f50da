"""Runners whose clocks are hours apart, on one database: its clock alone judges their leases."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

from souk.kernel.clock import Clock
from souk.saga.definition import SagaRef
from souk.saga.runner import SagaOutcome, SagaRunner, SagaSettings
from souk.store.database import Database, Transaction, Work
from souk.store.postgres.database import PostgresDatabase
from souk.store.sqlite.database import SqliteDatabase
from souk.testing.clocks import AHEAD, BEHIND, TRUE
from souk.testing.postgres import TemporaryPostgres
from souk.testing.saga_suite import PATIENCE, Shop, violations

T = TypeVar("T")

PAIRS = [
    pytest.param(TRUE, AHEAD, id="the other is ahead"),
    pytest.param(TRUE, BEHIND, id="the other is behind"),
    pytest.param(AHEAD, TRUE, id="the first is ahead"),
    pytest.param(BEHIND, TRUE, id="the first is behind"),
]
LOOKS = 5


class Counted:
    """A database that tells how many transactions one of its users has ended."""

    def __init__(self, database: Database) -> None:
        self._database, self._ended, self._changed = database, 0, asyncio.Condition()

    async def run(self, work: Work[T], *, guarded: bool = False, grouped: bool = False) -> T:
        """As the database does."""
        try:
            return await self._database.run(work, guarded=guarded, grouped=grouped)
        finally:
            async with self._changed:
                self._ended += 1
                self._changed.notify_all()

    async def more(self, transactions: int) -> None:
        """Waits until so many more have ended."""
        enough = self._ended + transactions
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: self._ended >= enough)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


class Bench:
    """A shop, and runners with clocks of their own."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self._runners: list[SagaRunner] = []
        self._tasks: list[asyncio.Task[None]] = []

    def runner(self, owner: str, clock: Clock, lease: float, database: Counted | None = None) -> SagaRunner:
        settings = SagaSettings(lease=lease, claim=0.02, poll=0.02, pause=0.002, longest_pause=0.01)
        where = cast(Database, database or self.shop.database)
        runner = SagaRunner(where, [self.shop.saga()], clock, owner, settings, service="order")
        self._runners.append(runner)
        return runner

    def go(self, runner: SagaRunner) -> None:
        self._tasks.append(asyncio.create_task(runner.run()))

    async def started(self, runner: SagaRunner) -> tuple[SagaRef, asyncio.Event]:
        """A run that stands in the bank until the event is set."""
        gate = asyncio.Event()
        self.shop.bank.does.append(gate)
        ref = await self.shop.start(runner)
        await asyncio.wait_for(self.shop.bank.called.wait(), PATIENCE)
        return ref, gate

    async def holder(self) -> tuple[str, int]:
        async def work(tx: Transaction) -> tuple[str, int]:
            (row,) = await tx.fetch("SELECT owner, epoch FROM souk_saga_run")
            return row["owner"], row["epoch"]

        return await self.shop.database.read(work)

    async def all_is_well(self, runner: SagaRunner, ref: SagaRef) -> None:
        progress = await runner.wait_ended(ref, runner._tools.clock.monotonic() + PATIENCE)
        assert progress.outcome is SagaOutcome.COMMITTED
        assert await violations(self.shop, progress, ref.subject) == []

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for runner in self._runners:
            await runner.close()
        await self.shop.close()


Make = Callable[[Clock], Awaitable[Bench]]


@pytest.fixture(params=["sqlite", "postgres"])
async def make(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Make]:
    """Benches on a database whose clock is given, where it can be."""
    made: list[Bench] = []

    async def bench(clock: Clock) -> Bench:
        if request.param == "postgres":
            server: TemporaryPostgres = request.getfixturevalue("postgres_server")
            database: Database = await PostgresDatabase.open(await server.create_migrated())
        else:
            database = await SqliteDatabase.open(tmp_path / "shop.db", clock=clock)
        made.append(Bench(await Shop.open(tmp_path, database=database)))
        return made[-1]

    yield bench
    for each in made:
        await each.close()


@pytest.fixture
async def bench(make: Make) -> Bench:
    return await make(TRUE)


@pytest.mark.parametrize(("first", "second"), PAIRS)
async def test_a_live_lease_is_left_alone(bench: Bench, first: Clock, second: Clock) -> None:
    looks = Counted(bench.shop.database)
    keeper, other = bench.runner("keeper", first, 60.0), bench.runner("other", second, 60.0, looks)
    bench.go(keeper)
    ref, gate = await bench.started(keeper)
    bench.go(other)
    await looks.more(LOOKS)
    assert await bench.holder() == ("keeper", 1)
    gate.set()
    await bench.all_is_well(keeper, ref)
    assert [key for _, key in bench.shop.bank.calls] == ["O-1:1:charge"], "nobody else did its work"


@pytest.mark.parametrize(("first", "second"), PAIRS)
async def test_a_lease_whose_owner_died_is_not_kept(bench: Bench, first: Clock, second: Clock) -> None:
    dead, heir = bench.runner("dead", first, 0.3), bench.runner("heir", second, 60.0)
    # It never renews its lease, as if its loop had stood still since.
    ref, gate = await bench.started(dead)
    (left,) = dead._tasks
    bench.go(heir)
    await bench.all_is_well(heir, ref)
    assert await bench.holder() == ("heir", 2)
    gate.set()
    await asyncio.wait_for(left.stopped.wait(), PATIENCE)
    await bench.all_is_well(heir, ref)


@pytest.mark.parametrize("second", [AHEAD, BEHIND], ids=["ahead", "behind"])
async def test_who_takes_over_knows_the_time_that_is_left(bench: Bench, second: Clock) -> None:
    dead, heir = bench.runner("dead", TRUE, 0.1), bench.runner("heir", second, 60.0)
    _, gate = await bench.started(dead)
    again = asyncio.Event()
    bench.shop.bank.does.append(again)
    bench.shop.bank.called.clear()
    bench.go(heir)
    await asyncio.wait_for(bench.shop.bank.called.wait(), PATIENCE)
    (drive,) = heir._tasks
    assert 0 < drive.held.remaining < bench.shop.deadline
    gate.set()
    again.set()
    await bench.all_is_well(heir, drive.held.ref)
