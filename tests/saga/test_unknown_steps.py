"""A deploy that renamed a step, or removed a saga, while runs of it were open: they are left to the version before."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from souk.kernel.clock import SystemClock
from souk.saga import parked
from souk.saga.definition import Saga, SagaRef, Step
from souk.saga.runner import SagaOutcome, SagaRunner, SagaSettings
from souk.store.database import Transaction
from souk.store.postgres.database import PostgresDatabase
from souk.testing.postgres import TemporaryPostgres, postgres_server  # noqa: F401 - fixture
from souk.testing.saga_suite import PATIENCE, Shop, violations

CLOCK = SystemClock()
QUICK = SagaSettings(lease=0.3, claim=0.02, poll=0.02, pause=0.002, longest_pause=0.01)


@pytest.fixture(params=["sqlite", "postgres"])
async def shop(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Shop]:
    database = None
    if request.param == "postgres":
        server: TemporaryPostgres = request.getfixturevalue("postgres_server")
        database = await PostgresDatabase.open(await server.create_database())
    shop = await Shop.open(tmp_path, database=database)
    yield shop
    await shop.close()


def renamed(shop: Shop) -> Saga:
    """The saga of the next version, in which the first step has another name."""
    old = shop.saga()
    steps = [replace(step, name="hold") if step.name == "reserve" else step for step in old.steps]
    return Saga(old.name, *steps, rejected=old.rejected, ended=old.ended)


def another(shop: Shop) -> Saga:
    """What is left in a version that has no such saga any more."""
    return Saga("sweep", Step("bank", do=shop.bank.do))


def runner(shop: Shop, owner: str, saga: Saga) -> SagaRunner:
    return SagaRunner(shop.database, [saga], CLOCK, owner, QUICK, service="order")


async def left_by_the_version_before(shop: Shop) -> SagaRef:
    """A run that stands in the bank, and whose process has ended."""
    before, gate = runner(shop, "before", shop.saga()), asyncio.Event()
    shop.bank.does.append(gate)
    ref = await shop.start(before)
    await asyncio.wait_for(shop.bank.called.wait(), PATIENCE)
    await before.close()
    return ref


async def lease(tx: Transaction) -> tuple[str, int]:
    row = await tx.fetch_one("SELECT owner, epoch FROM souk_saga_run WHERE subject = 'O-1'")
    assert row is not None
    return row["owner"], row["epoch"]


async def until_marked(one: SagaRunner) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await one.parked():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("version", [renamed, another])
async def test_it_is_left_alone_and_said_and_the_rest_goes_on(shop: Shop, version) -> None:
    ref = await left_by_the_version_before(shop)
    after = runner(shop, "after", version(shop))
    with capture_logs() as logs:
        work = asyncio.create_task(after.run())
        await until_marked(after)
        if version is renamed:
            other = await shop.start(after, "O-2")
            assert (await after.wait_ended(other, CLOCK.monotonic() + PATIENCE)).outcome is SagaOutcome.COMMITTED
        await asyncio.sleep(3 * QUICK.lease)  # several looks later
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    assert await shop.database.read(lease) == ("before", 1)
    lines = [line for line in logs if "does not know" in line["event"] or line["log_level"] == "error"]
    (line,) = lines
    assert (line["runs"], "place: " in line["steps"][0], "souk parked" in line["event"]) == (1, True, True)
    (step,) = await after.parked()
    assert (step.ref, step.note) == (ref, parked.UNKNOWN_STEP)
    assert (await after.counts())["place", "parked"] == 1


async def test_the_version_that_knows_it_ends_it(shop: Shop) -> None:
    ref = await left_by_the_version_before(shop)
    for owner, saga in (("after", renamed(shop)), ("before again", shop.saga())):
        one = runner(shop, owner, saga)
        work = asyncio.create_task(one.run())
        if owner == "after":
            await until_marked(one)
        else:
            progress = await one.wait_ended(ref, CLOCK.monotonic() + PATIENCE)
            assert progress.outcome is SagaOutcome.COMMITTED
            assert await violations(shop, progress) == []
            assert await one.parked() == []
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
