"""A definition that changes while runs are open: they end by the one that they began with, or are not touched."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from souk.kernel.clock import SystemClock
from souk.kernel.errors import ConfigurationError
from souk.saga.definition import Saga, SagaRef, Step
from souk.saga.operator import parked
from souk.saga.runner import SagaOutcome, SagaRunner, SagaSettings
from souk.saga.versions import SagaVersions
from souk.store.database import Transaction
from souk.store.postgres.database import PostgresDatabase
from souk.testing.postgres import TemporaryPostgres
from souk.testing.saga_suite import PATIENCE, Shop, violations

CLOCK = SystemClock()
QUICK = SagaSettings(lease=0.3, claim=0.02, poll=0.02, pause=0.002, longest_pause=0.01)


@pytest.fixture(params=["sqlite", "postgres"])
async def shop(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Shop]:
    database = None
    if request.param == "postgres":
        server: TemporaryPostgres = request.getfixturevalue("postgres_server")
        database = await PostgresDatabase.open(await server.create_migrated())
    shop = await Shop.open(tmp_path, database=database)
    yield shop
    await shop.close()


def renamed(shop: Shop, version: int = 1) -> Saga:
    """The saga of the next program, in which the first step has another name."""
    old = shop.saga()
    steps = [replace(step, name="hold") if step.name == "reserve" else step for step in old.steps]
    return Saga(old.name, *steps, version=version, rejected=old.rejected, ended=old.ended)


def another(shop: Shop) -> Saga:
    """What is left in a version that has no such saga any more."""
    return Saga("sweep", Step("bank", do=shop.bank.do))


def runner(shop: Shop, owner: str, *sagas: Saga) -> SagaRunner:
    return SagaRunner(shop.database, sagas, CLOCK, owner, QUICK, service="order")


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
    (line,) = [line for line in logs if line["log_level"] == "error"]
    assert (line["runs"], line["definitions"], "souk saga check" in line["event"]) == (1, ["place version 1"], True)
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


async def without_fingerprint(shop: Shop) -> None:
    """Makes the open runs look as those that were recorded before definitions had versions."""
    await shop.database.run(lambda tx: tx.execute("UPDATE souk_saga_run SET fingerprint = ''"))


async def test_old_runs_end_by_the_old_definition_and_new_ones_by_the_new(shop: Shop) -> None:
    ref = await left_by_the_version_before(shop)
    after = runner(shop, "after", shop.saga(), renamed(shop, 2))
    await after.require_compatible()
    work = asyncio.create_task(after.run())
    other = await shop.start(after, "O-2")
    for one in (ref, other):
        progress = await after.wait_ended(one, CLOCK.monotonic() + PATIENCE)
        assert progress.outcome is SagaOutcome.COMMITTED
        assert await violations(shop, progress, one.subject) == []
    steps = await shop.database.read(
        lambda tx: tx.fetch("SELECT subject, step FROM souk_saga_step WHERE step IN ('hold', 'reserve') ORDER BY 1")
    )
    assert [(row["subject"], row["step"]) for row in steps] == [("O-1", "reserve"), ("O-2", "hold")]
    assert ("do", "O-1:1:reserve") in shop.stock.calls
    assert ("do", "O-2:1:hold") in shop.stock.calls
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


@pytest.mark.parametrize("recorded_before_versions", [False, True])
async def test_a_changed_definition_is_refused_while_its_runs_are_open(
    shop: Shop, recorded_before_versions: bool
) -> None:
    ref = await left_by_the_version_before(shop)
    if recorded_before_versions:
        await without_fingerprint(shop)
    with pytest.raises(ConfigurationError, match=r"1 open run of place version 1 .* O-1: .*version=2.*souk saga check"):
        await runner(shop, "after", renamed(shop)).require_compatible()
    same = runner(shop, "before again", shop.saga())
    await same.require_compatible()
    work = asyncio.create_task(same.run())
    assert (await same.wait_ended(ref, CLOCK.monotonic() + PATIENCE)).outcome is SagaOutcome.COMMITTED
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    await runner(shop, "after", renamed(shop)).require_compatible()


@pytest.mark.parametrize("version", [partial(renamed, version=2), another])
async def test_a_program_without_the_old_definition_starts_and_says_what_it_leaves(shop: Shop, version) -> None:
    await left_by_the_version_before(shop)
    with capture_logs() as logs:
        await runner(shop, "after", version(shop)).require_compatible()
    (line,) = [line for line in logs if line["log_level"] == "warning"]
    assert (line["runs"], "until its runs have ended" in line["why"]) == (1, True)


def test_a_program_has_one_definition_of_a_version(tmp_path: Path) -> None:
    saga = Saga("s", Step("a", record=_nothing))
    with pytest.raises(ValueError, match="two definitions of version 1"):
        SagaVersions([saga, Saga("s", Step("b", record=_nothing))])
    newer = Saga("s", Step("b", record=_nothing), version=10)
    assert SagaVersions([newer, Saga("s", Step("c", record=_nothing), version=9), saga]).latest("s") is newer


async def _nothing(*_: object) -> None:
    """Stands for a hook."""


def test_a_fingerprint_tells_what_open_runs_depend_on_and_nothing_else() -> None:
    step = Step("a", do=_nothing, undo=_nothing)
    changes = [replace(step, name="b"), replace(step, undo=None), replace(step, pivot=True)]
    changes += [replace(step, outcome_waits=False), replace(step, do=None, record=_nothing)]
    prints = {Saga("s", one).fingerprint for one in (step, *changes)}
    assert len(prints) == len(changes) + 1
    tuned = Saga("other name", replace(step, try_timeout=1.0), version=2, deadline=5.0)
    assert tuned.fingerprint == Saga("s", step).fingerprint
