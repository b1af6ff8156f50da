"""What an operator does with runs, while runners work on them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from souk.kernel.clock import MICROSECONDS, SystemClock
from souk.saga.definition import SagaRef
from souk.saga.operator.actions import ActionEffect, ActionRequest, RunAction, act
from souk.saga.operator.run_filter import RunFilter
from souk.saga.operator.run_records import RunRecord, actions_of, find_runs
from souk.saga.run import StepRun
from souk.saga.runner import SagaOutcome, SagaRunner, SagaSettings
from souk.saga.states import StepState
from souk.saga.step_rows import MOST_TRIES, step_values
from souk.store.postgres.database import PostgresDatabase
from souk.testing.postgres import TemporaryPostgres
from souk.testing.saga_suite import LOST, PATIENCE, REFUSE, VANISH, Shop, violations

CLOCK = SystemClock()
QUICK = SagaSettings(lease=0.3, claim=0.02, poll=0.02, pause=0.002, longest_pause=0.01, park_after=2)
REF = SagaRef("place", "O-1", 1)


@pytest.fixture(params=["sqlite", "postgres"])
async def shop(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Shop]:
    database = None
    if request.param == "postgres":
        server: TemporaryPostgres = request.getfixturevalue("postgres_server")
        database = await PostgresDatabase.open(await server.create_migrated())
    shop = await Shop.open(tmp_path, database=database)
    yield shop
    await shop.close()


@pytest.fixture
async def runner(shop: Shop) -> AsyncIterator[SagaRunner]:
    runner = SagaRunner(shop.database, [shop.saga()], CLOCK, "A", QUICK, service="order")
    work = asyncio.create_task(runner.run())
    yield runner
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


async def ask(shop: Shop, action: RunAction, step: str = "", ref: SagaRef = REF) -> ActionEffect:
    request = ActionRequest(action, "ann", "ticket 1", step)
    return await shop.database.run(partial(act, ref=ref, request=request))


async def found(shop: Shop, wanted: RunFilter) -> list[RunRecord]:
    return await shop.database.read(partial(find_runs, wanted=wanted, limit=100))


async def actions(shop: Shop) -> list[tuple[str, str, str, str]]:
    rows = await shop.database.read(partial(actions_of, subject="O-1"))
    return [(row.action, row.step, row.operator, row.why) for row in rows]


async def at_rest(shop: Shop, runner: SagaRunner, outcome: SagaOutcome) -> None:
    progress = await runner.wait_ended(REF, CLOCK.monotonic() + PATIENCE)
    assert progress.outcome is outcome
    assert await violations(shop, progress) == []


async def standing_in_the_bank(shop: Shop, runner: SagaRunner) -> asyncio.Event:
    gate = asyncio.Event()
    shop.bank.does.append(gate)
    await shop.start(runner)
    await asyncio.wait_for(shop.bank.called.wait(), PATIENCE)
    return gate


async def parked_undo(shop: Shop, runner: SagaRunner) -> None:
    shop.bank.does.append(REFUSE)
    shop.stock.undoes.extend([VANISH] * 2)
    await shop.start(runner)
    async with asyncio.timeout(PATIENCE):
        while not await found(shop, RunFilter("parked")):
            await asyncio.sleep(0.01)


async def test_a_run_that_is_driven_is_turned_back(shop: Shop, runner: SagaRunner) -> None:
    await standing_in_the_bank(shop, runner)
    assert (await ask(shop, RunAction.COMPENSATE)).changed
    await at_rest(shop, runner, SagaOutcome.REJECTED)
    assert "rejected: charge OPERATOR_DECIDED" in await shop.story()
    assert await actions(shop) == [("compensate", "", "ann", "ticket 1")]
    assert (await ask(shop, RunAction.COMPENSATE)).refused


async def test_what_is_asked_twice_is_done_and_recorded_once(shop: Shop) -> None:
    idle = SagaRunner(shop.database, [shop.saga()], CLOCK, "A", QUICK, service="order")
    await standing_in_the_bank(shop, idle)
    effects = [await ask(shop, RunAction.COMPENSATE) for _ in range(2)]
    assert [effect.changed for effect in effects] == [True, False]
    assert len(await actions(shop)) == 1
    await idle.close()
    next_one = SagaRunner(shop.database, [shop.saga()], CLOCK, "B", QUICK, service="order")
    work = asyncio.create_task(next_one.run())
    await at_rest(shop, next_one, SagaOutcome.REJECTED)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


async def test_two_operators_at_once_are_one(shop: Shop, runner: SagaRunner) -> None:
    await standing_in_the_bank(shop, runner)
    effects = await asyncio.gather(*(ask(shop, RunAction.COMPENSATE) for _ in range(5)))
    assert sum(effect.changed for effect in effects) == 1
    await at_rest(shop, runner, SagaOutcome.REJECTED)
    assert len(await actions(shop)) == 1


async def test_beyond_the_pivot_nothing_goes_back(shop: Shop, runner: SagaRunner) -> None:
    gate = asyncio.Event()
    shop.depot.does.append(gate)
    await shop.start(runner)
    await asyncio.wait_for(shop.depot.called.wait(), PATIENCE)
    effect = await ask(shop, RunAction.COMPENSATE)
    assert (effect.changed, effect.refused, "pivot" in effect.text) == (False, True, True)
    gate.set()
    await at_rest(shop, runner, SagaOutcome.COMMITTED)


async def test_a_paused_run_is_driven_by_nobody_until_it_is_resumed(shop: Shop, runner: SagaRunner) -> None:
    gate = await standing_in_the_bank(shop, runner)
    assert (await ask(shop, RunAction.PAUSE)).changed
    assert not (await ask(shop, RunAction.PAUSE)).changed
    gate.set()
    assert (await ask(shop, RunAction.COMPENSATE)).refused
    await asyncio.sleep(2 * QUICK.lease)  # several looks of the runner
    (run,) = await found(shop, RunFilter("paused"))
    assert (run.state, run.steps[-1].name) == ("paused", "charge")
    assert (await runner.counts())["place", "paused"] == 1
    before = run.deadline_at
    assert (await ask(shop, RunAction.RESUME)).changed
    assert not (await ask(shop, RunAction.RESUME)).changed
    await at_rest(shop, runner, SagaOutcome.COMMITTED)
    (run,) = await found(shop, RunFilter("ended"))
    assert run.deadline_at > before + QUICK.lease
    assert [action for action, *_ in await actions(shop)] == ["pause", "resume"]


async def test_a_parked_undo_is_tried_again(shop: Shop, runner: SagaRunner) -> None:
    await parked_undo(shop, runner)
    assert (await ask(shop, RunAction.RETRY)).text == "tries again: reserve"
    await at_rest(shop, runner, SagaOutcome.REJECTED)
    assert not (await ask(shop, RunAction.RETRY)).changed
    assert await actions(shop) == [("retry", "", "ann", "ticket 1")]


async def test_a_parked_undo_that_was_done_by_hand_is_resolved(shop: Shop, runner: SagaRunner) -> None:
    await parked_undo(shop, runner)
    calls = list(shop.stock.calls)
    assert (await ask(shop, RunAction.RESOLVE, "charge")).refused
    assert (await ask(shop, RunAction.RESOLVE, "reserve")).text == "reserve counts as undone"
    progress = await runner.wait_ended(REF, CLOCK.monotonic() + PATIENCE)
    assert (progress.outcome, progress.ended) == (SagaOutcome.REJECTED, True)
    assert shop.stock.calls == calls
    assert (await shop.story())[-1] == "ended"


async def test_a_parked_step_that_was_done_by_hand_is_resolved(shop: Shop, runner: SagaRunner) -> None:
    shop.depot.does.append(REFUSE)
    await shop.start(runner)
    async with asyncio.timeout(PATIENCE):
        while not await found(shop, RunFilter("parked")):
            await asyncio.sleep(0.01)
    assert (await ask(shop, RunAction.RESOLVE)).text == "ship counts as done"
    progress = await runner.wait_ended(REF, CLOCK.monotonic() + PATIENCE)
    assert (progress.outcome, progress.ended, progress.parked) == (SagaOutcome.COMMITTED, True, False)
    assert (await shop.story())[-1] == "ended"


async def test_every_change_of_a_step_is_kept(shop: Shop, runner: SagaRunner) -> None:
    shop.bank.does += [LOST, REFUSE]
    shop.stock.undoes.append(VANISH)
    await shop.start(runner)
    await at_rest(shop, runner, SagaOutcome.REJECTED)
    (run,) = await shop.database.read(partial(find_runs, wanted=RunFilter("all"), limit=1, changes=True))
    seen = {step.name: [(one.state.value, one.tries) for one in step.changes] for step in run.steps}
    assert seen["reserve"] == [("trying", 0), ("done", 1), ("undoing", 0), ("undoing", 1), ("undone", 2)]
    assert seen["charge"][:3] == [("trying", 0), ("doubtful", 1), ("undoing", 0)]
    notes = {step.name: [one.note for one in step.changes if one.note] for step in run.steps}
    assert notes["reserve"] == ["UNAVAILABLE"]
    for step in run.steps:
        times = [one.at for one in step.changes]
        assert times == sorted(times)
        assert step.changes[-1].state is step.state
        assert abs(step.changes[-1].at - step.changed_at) < MICROSECONDS
    (plain,) = await found(shop, RunFilter("all"))
    assert [step.changes for step in plain.steps] == [()] * len(plain.steps), "only if they are asked for"


async def test_the_history_of_a_step_has_a_limit(shop: Shop) -> None:
    before = StepRun(StepState.UNDOING, MOST_TRIES)
    assert step_values("reserve", replace(before, tries=MOST_TRIES + 1), before)[-1] == ""
    ended = step_values("reserve", StepRun(StepState.UNDO_PARKED, MOST_TRIES + 1, note="TWO\nLINES"), before)
    assert ended[-1] == f"undo_parked {MOST_TRIES + 1} TWO LINES"


async def test_runs_are_found_by_what_is_known_of_them(shop: Shop, runner: SagaRunner) -> None:
    await parked_undo(shop, runner)
    finds = [
        RunFilter(),
        RunFilter("stuck"),
        RunFilter("going back"),
        RunFilter(step="reserve"),
        RunFilter(saga="place"),
    ]
    finds += [RunFilter(reason="unavail"), RunFilter(reason="no"), RunFilter(text="o-1"), RunFilter(text="U-1")]
    finds += [RunFilter("all", [REF, SagaRef("place", "O-2", 1)])]
    for wanted in finds:
        assert [run.ref for run in await found(shop, wanted)] == [REF], wanted
    misses = [RunFilter("running"), RunFilter("ended"), RunFilter(step="charge"), RunFilter(saga="p%")]
    misses += [RunFilter(reason="100%"), RunFilter(text="_"), RunFilter(older=3_600.0)]
    for wanted in misses:
        assert await found(shop, wanted) == [], wanted


async def test_a_run_that_does_not_exist_raises(shop: Shop) -> None:
    with pytest.raises(LookupError):
        await ask(shop, RunAction.PAUSE, ref=SagaRef("place", "O-9", 1))
