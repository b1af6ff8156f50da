"""The runner on a real database, with participants that remember."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from souk.kernel.clock import SystemClock
from souk.kernel.context import CallContext, Caller, use
from souk.kernel.errors import LeaseLost, StoreUnavailable, VersionConflict
from souk.rpc.status import decode
from souk.saga import maintenance
from souk.saga.definition import Saga, SagaRef, Step, StepCall
from souk.saga.operator import parked
from souk.saga.runner import SagaOutcome, SagaProgress, SagaRunner, SagaSettings
from souk.saga.states import StepState
from souk.store.database import Row, Transaction, Work
from souk.store.postgres.database import PostgresDatabase
from souk.testing.postgres import TemporaryPostgres
from souk.testing.saga_suite import LOST, NOT_NOW, NOT_SENT, PATIENCE, REFUSE, TURNED_AWAY, VANISH, Shop, violations

CLOCK = SystemClock()
QUICK = SagaSettings(lease=0.3, claim=0.02, poll=0.02, pause=0.002, longest_pause=0.01)


def soon() -> float:
    return CLOCK.monotonic() + PATIENCE


class Bench:
    """A shop and its runners."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.runners: list[SagaRunner] = []
        self.tasks: list[asyncio.Task[None]] = []

    def runner(self, owner: str = "A", settings: SagaSettings = QUICK, *sagas: Saga) -> SagaRunner:
        sagas = sagas or (self.shop.saga(),)
        runner = SagaRunner(self.shop.database, sagas, CLOCK, owner, settings, service="order")
        self.runners.append(runner)
        return runner

    def go(self, runner: SagaRunner) -> None:
        self.tasks.append(asyncio.create_task(runner.run()))

    async def at_rest(self, runner: SagaRunner, ref: SagaRef, outcome: SagaOutcome) -> None:
        progress = await runner.wait_ended(ref, soon())
        assert progress.outcome is outcome
        assert await violations(self.shop, progress, ref.subject) == []

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for runner in self.runners:
            await runner.close()
        await self.shop.close()


Make = Callable[..., Awaitable[Bench]]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.full)])
async def make(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Make]:
    made: list[Bench] = []

    async def bench(**options: Any) -> Bench:
        database = None
        if request.param == "postgres":
            server: TemporaryPostgres = request.getfixturevalue("postgres_server")
            database = await PostgresDatabase.open(await server.create_migrated())
        made.append(Bench(await Shop.open(tmp_path, database=database, **options)))
        return made[-1]

    yield bench
    for each in made:
        await each.close()


async def retry(bench: Bench, ref: SagaRef) -> bool:
    """Does what `souk parked retry` does."""
    return await bench.shop.database.run(lambda tx: parked.retry_parked(tx, ref))


def select(sql: str) -> Work[list[Row]]:
    return lambda tx: tx.fetch(sql)


@pytest.fixture
async def bench(make: Make) -> Bench:
    return await make()


@asynccontextmanager
async def counted(shop: Shop) -> AsyncIterator[list[int]]:
    """Counts the transactions of a block."""
    commits = [0]
    run = shop.database.run

    async def counting(work: Any, **how: bool) -> Any:
        commits[0] += 1
        return await run(work, **how)

    shop.database.run = counting  # type: ignore[method-assign]
    yield commits
    shop.database.run = run  # type: ignore[method-assign]


async def test_a_saga_that_goes_well_costs_four_transactions(bench: Bench) -> None:
    runner = bench.runner()
    async with counted(bench.shop) as commits:
        ref = await bench.shop.start(runner)
        assert (await runner.wait(ref, soon())).outcome is SagaOutcome.COMMITTED
        await bench.at_rest(runner, ref, SagaOutcome.COMMITTED)
    assert commits == [4]
    assert await bench.shop.story() == ["placed", "reserved", "confirmed: did O-1:1:charge", "ended"]


async def test_it_acts_as_its_service_for_the_user_and_not_as_the_request_that_started_it(bench: Bench) -> None:
    runner = bench.runner()
    request = CallContext(deadline=1.0, caller=Caller(subject="U-9", service="gateway"), idempotency_key="K")
    began = CLOCK.monotonic()
    with use(request):
        ref = await bench.shop.start(runner)
    await bench.at_rest(runner, ref, SagaOutcome.COMMITTED)
    context = bench.shop.stock.contexts[0]
    assert context.caller == Caller(subject="U-1", service="order")
    assert context.idempotency_key == ""
    assert context.deadline is not None
    assert began <= context.deadline - 5.0 <= CLOCK.monotonic()


async def test_the_outcome_is_told_at_the_pivot(bench: Bench) -> None:
    dispatch = asyncio.Event()
    bench.shop.depot.does.append(dispatch)
    runner = bench.runner()
    ref = await bench.shop.start(runner)
    progress = await runner.wait(ref, soon())
    assert (progress.outcome, progress.ended) == (SagaOutcome.COMMITTED, False)
    assert await bench.shop.database.read(lambda tx: runner.open(tx, "O-1"))
    dispatch.set()
    await bench.at_rest(runner, ref, SagaOutcome.COMMITTED)
    assert not await bench.shop.database.read(lambda tx: runner.open(tx, "O-1"))


async def test_a_start_that_does_not_commit_never_was(bench: Bench) -> None:
    runner = bench.runner()

    async def work(tx: Transaction) -> None:
        await runner.start(tx, "place", "O-1", 1, b"")
        raise KeyError("the order is not to be")

    with pytest.raises(KeyError):
        await bench.shop.database.run(work)
    with pytest.raises(LookupError):
        await runner.wait(SagaRef("place", "O-1", 1), soon())
    assert bench.shop.stock.calls == []


async def test_refused(bench: Bench) -> None:
    bench.shop.bank.does.append(REFUSE)
    runner = bench.runner()
    ref = await bench.shop.start(runner)
    progress = await runner.wait(ref, soon())
    assert progress.refusal is not None
    assert (progress.refusal.step, progress.refusal.reason, progress.refusal.final) == ("charge", "NO", True)
    assert decode(progress.refusal.status).reason == "NO"
    await bench.at_rest(runner, ref, SagaOutcome.REJECTED)
    assert ("undo", "O-1:1:charge") not in bench.shop.bank.calls
    assert await bench.shop.story() == ["placed", "reserved", "rejected: charge NO", "ended"]


async def test_not_sent_goes_back_and_leaves_that_step_alone(bench: Bench) -> None:
    bench.shop.bank.does.append(NOT_SENT)
    runner = bench.runner()
    ref = await bench.shop.start(runner)
    await bench.at_rest(runner, ref, SagaOutcome.REJECTED)
    progress = await runner.wait(ref, soon())
    assert progress.refusal is not None
    assert not progress.refusal.sent
    assert [what for what, _ in bench.shop.bank.calls] == ["do"]


@pytest.mark.parametrize("first", [LOST, VANISH])
async def test_unknown_is_asked_again_under_the_same_key(bench: Bench, first: str) -> None:
    bench.shop.bank.does.extend([first, VANISH])
    runner = bench.runner()
    ref = await bench.shop.start(runner)
    await bench.at_rest(runner, ref, SagaOutcome.COMMITTED)
    assert bench.shop.bank.calls == [("do", "O-1:1:charge")] * 3


async def test_unknown_until_the_deadline_is_undone(make: Make) -> None:
    bench = await make(deadline=0.1)
    bench.shop.bank.does.extend([LOST, *[VANISH] * 1000])
    runner = bench.runner()
    ref = await bench.shop.start(runner)
    await bench.at_rest(runner, ref, SagaOutcome.REJECTED)
    assert (await bench.shop.story())[2] == "rejected: charge DEADLINE_EXCEEDED"


async def test_a_try_that_takes_too_long_is_unknown(make: Make) -> None:
    bench = await make(deadline=0.05)
    bench.shop.stock.does.append(asyncio.Event())
    runner = bench.runner()
    ref = await bench.shop.start(runner)
    await bench.at_rest(runner, ref, SagaOutcome.REJECTED)
    assert bench.shop.stock.calls == [("do", "O-1:1:reserve"), ("undo", "O-1:1:reserve")]


async def test_a_client_that_goes_away_changes_nothing(bench: Bench) -> None:
    gate = asyncio.Event()
    bench.shop.stock.does.append(gate)
    runner = bench.runner()
    request = asyncio.create_task(_request(bench.shop, runner))
    await bench.shop.stock.called.wait()
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    gate.set()
    await bench.at_rest(runner, SagaRef("place", "O-1", 1), SagaOutcome.COMMITTED)


async def _request(shop: Shop, runner: SagaRunner) -> None:
    await runner.wait(await shop.start(runner), soon())


async def until_parked(runner: SagaRunner, ref: SagaRef) -> SagaProgress:
    """Waits until an operator is waited for."""
    async with asyncio.timeout(30):
        while not (progress := await runner.wait_ended(ref, CLOCK.monotonic() + 0.02)).parked:
            pass
    return progress


async def test_waiting_ends_at_its_time_with_running(bench: Bench) -> None:
    bench.shop.stock.does.append(asyncio.Event())
    runner = bench.runner()
    ref = await bench.shop.start(runner)
    progress = await runner.wait(ref, CLOCK.monotonic() + 0.02)
    assert progress.outcome is SagaOutcome.RUNNING
    assert (await bench.runner("B").wait(ref, CLOCK.monotonic() + 0.02)).outcome is SagaOutcome.RUNNING


async def test_an_undo_that_is_blocked_delays_neither_the_other_nor_the_outcome(bench: Bench) -> None:
    bank_is_back = asyncio.Event()
    bench.shop.bank.does.extend([VANISH, REFUSE])
    bench.shop.bank.undoes.extend([VANISH, VANISH, bank_is_back])
    runner = bench.runner()
    ref = await bench.shop.start(runner)
    progress = await runner.wait(ref, soon())
    assert (progress.outcome, progress.ended) == (SagaOutcome.REJECTED, False)
    assert bench.shop.stock.effects("O-1") == 0
    bank_is_back.set()
    await bench.at_rest(runner, ref, SagaOutcome.REJECTED)


async def test_the_outcome_waits_for_the_release_of_stock(bench: Bench) -> None:
    stock_is_back = asyncio.Event()
    bench.shop.bank.does.append(REFUSE)
    bench.shop.stock.undoes.append(stock_is_back)
    runner = bench.runner()
    ref = await bench.shop.start(runner)
    while len(bench.shop.stock.calls) < 2:
        bench.shop.stock.called.clear()
        await bench.shop.stock.called.wait()
    progress = await bench.shop.database.read(lambda tx: runner.progress(tx, ref))
    assert (progress.outcome, progress.refusal) == (SagaOutcome.RUNNING, None)
    stock_is_back.set()
    await bench.at_rest(runner, ref, SagaOutcome.REJECTED)


async def test_an_undo_that_fails_too_often_is_parked_until_an_operator_retries_it(bench: Bench) -> None:
    bench.shop.bank.does.append(REFUSE)
    bench.shop.stock.undoes.extend([VANISH] * 3)
    runner = bench.runner(settings=SagaSettings(pause=0.001, poll=0.02, park_after=3))
    ref = await bench.shop.start(runner)
    progress = await until_parked(runner, ref)
    assert progress.outcome is SagaOutcome.RUNNING
    (parked,) = await runner.parked()
    assert (parked.ref, parked.step, parked.state) == (ref, "reserve", StepState.UNDO_PARKED)
    assert (parked.tries, parked.note) == (3, "UNAVAILABLE")
    assert await runner.counts() == {("place", "parked"): 1}
    assert await retry(bench, ref)
    bench.go(runner)
    await bench.at_rest(runner, ref, SagaOutcome.REJECTED)
    assert not await retry(bench, ref)
    assert await runner.parked() == []


async def test_after_the_pivot_it_is_tried_until_it_is_done(bench: Bench) -> None:
    bench.shop.depot.does.extend([NOT_SENT, VANISH, LOST, NOT_SENT])
    runner = bench.runner()
    ref = await bench.shop.start(runner)
    await bench.at_rest(runner, ref, SagaOutcome.COMMITTED)


async def test_a_refusal_after_the_pivot_is_parked(bench: Bench) -> None:
    bench.shop.depot.does.append(REFUSE)
    runner = bench.runner()
    ref = await bench.shop.start(runner)
    assert (await runner.wait(ref, soon())).outcome is SagaOutcome.COMMITTED
    assert not (await until_parked(runner, ref)).ended
    assert await retry(bench, ref)
    bench.go(runner)
    await bench.at_rest(runner, ref, SagaOutcome.COMMITTED)


async def test_another_replica_sees_the_outcome(bench: Bench) -> None:
    gate = asyncio.Event()
    bench.shop.bank.does.append(gate)
    ref = await bench.shop.start(bench.runner())
    other = bench.runner("B")
    waits = [asyncio.create_task(other.wait(ref, soon())) for _ in range(3)]
    await asyncio.sleep(0)
    gate.set()
    assert {progress.outcome for progress in await asyncio.gather(*waits)} == {SagaOutcome.COMMITTED}


async def test_who_leaves_while_another_replica_works_is_not_waited_for(bench: Bench) -> None:
    runner, other = bench.runner(), bench.runner("B")
    gate = asyncio.Event()
    bench.shop.bank.does.append(gate)
    ref = await bench.shop.start(runner)
    await bench.shop.bank.called.wait()
    reads: list[object] = []
    read = bench.shop.database.read

    async def counting(work: Any, *, single: bool = False) -> Any:
        reads.append(work)
        return await read(work, single=single)

    bench.shop.database.read = counting  # type: ignore[method-assign]
    waiting = asyncio.create_task(other.wait(ref, soon()))
    while len(reads) < 3:
        await asyncio.sleep(0.001)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.sleep(2 * QUICK.poll)
    looked = len(reads)
    await asyncio.sleep(3 * QUICK.poll)
    assert len(reads) == looked, "nobody waits, nobody looks"
    gate.set()
    await bench.at_rest(runner, ref, SagaOutcome.COMMITTED)


async def test_an_abandoned_run_is_taken_over_and_the_loser_stops(bench: Bench) -> None:
    loser_may_go_on = asyncio.Event()
    bench.shop.bank.does.append(loser_may_go_on)
    loser, winner = bench.runner("A"), bench.runner("B")
    ref = await bench.shop.start(loser)
    await bench.shop.bank.called.wait()
    # Nobody keeps A's lease, as if its loop had stood still.
    bench.go(winner)
    await bench.at_rest(winner, ref, SagaOutcome.COMMITTED)
    (drive,) = loser._tasks
    with pytest.raises(LeaseLost):
        await bench.shop.database.run(lambda tx: loser._store.record(tx, drive.held, 1, drive.run, drive.run))
    loser_may_go_on.set()
    assert (await loser.wait_ended(ref, soon())).ended
    await drive.stopped.wait()
    await bench.at_rest(loser, ref, SagaOutcome.COMMITTED)


async def test_a_lease_that_is_over_is_looked_at_before_the_next_call(bench: Bench) -> None:
    bench.shop.bank.does.append(VANISH)
    loser, winner = bench.runner("A", SagaSettings(lease=0.0, pause=0.1)), bench.runner("B")
    ref = await bench.shop.start(loser)
    await bench.shop.bank.called.wait()
    (drive,) = loser._tasks
    bench.go(winner)
    await bench.at_rest(winner, ref, SagaOutcome.COMMITTED)
    await drive.stopped.wait()
    assert len(bench.shop.bank.calls) == 2


async def test_a_lease_is_kept_while_a_call_takes_long(bench: Bench) -> None:
    gate = asyncio.Event()
    bench.shop.bank.does.append(gate)
    keeper, other = bench.runner("A"), bench.runner("B")
    bench.go(keeper)
    bench.go(other)
    ref = await bench.shop.start(keeper)
    await asyncio.sleep(2 * QUICK.lease)
    gate.set()
    await bench.at_rest(keeper, ref, SagaOutcome.COMMITTED)
    assert len(bench.shop.bank.calls) == 1


async def test_a_runner_that_closes_hands_its_runs_over_at_once(bench: Bench) -> None:
    bench.shop.bank.does.append(asyncio.Event())
    first = bench.runner("A", SagaSettings(lease=3600.0))
    ref = await bench.shop.start(first)
    await bench.shop.bank.called.wait()
    await first.close()
    second = bench.runner("B")
    bench.go(second)
    await bench.at_rest(second, ref, SagaOutcome.COMMITTED)


async def test_a_hook_may_start_the_next_saga_in_its_transaction(bench: Bench) -> None:
    shop = bench.shop

    async def begin_next(tx: Transaction, call: StepCall) -> None:
        assert not await runner.open(tx, call.ref.subject)
        await runner.start(tx, "next", call.ref.subject, call.ref.attempt, b"", call.on_behalf_of)

    first = Saga("first", Step("charge", do=shop.bank.do, pivot=True), ended=begin_next)
    runner = bench.runner("A", QUICK, first, Saga("next", Step("ship", do=shop.depot.do, pivot=True)))
    await shop.database.run(lambda tx: runner.start(tx, "first", "O-1", 1, b"", "U-7"))
    assert (await runner.wait_ended(SagaRef("first", "O-1", 1), soon())).ended
    assert (await runner.wait_ended(SagaRef("next", "O-1", 1), soon())).ended
    assert shop.depot.contexts[0].caller.subject == "U-7"


async def test_a_conflict_in_a_hook_is_met_again(bench: Bench) -> None:
    conflicts = iter([VersionConflict("later"), VersionConflict("later")])

    async def record(tx: Transaction, call: StepCall, result: bytes) -> None:
        for conflict in conflicts:
            raise conflict

    saga = Saga("only", Step("charge", do=bench.shop.bank.do, record=record, pivot=True))
    runner = bench.runner("A", QUICK, saga)
    ref = await bench.shop.database.run(lambda tx: runner.start(tx, "only", "O-1", 1, b""))
    assert (await runner.wait_ended(ref, soon())).ended
    assert len(bench.shop.bank.calls) == 1


async def test_a_result_is_recorded_however_often_that_fails(bench: Bench) -> None:
    failures = iter([RuntimeError("a bug in a hook")] * 3)

    async def record(tx: Transaction, call: StepCall, result: bytes) -> None:
        for failure in failures:
            raise failure

    saga = Saga("only", Step("charge", do=bench.shop.bank.do, record=record, pivot=True))
    runner = bench.runner("A", replace(QUICK, lease=3600.0), saga)  # one that is lost is another story
    ref = await bench.shop.database.run(lambda tx: runner.start(tx, "only", "O-1", 1, b""))
    assert (await runner.wait_ended(ref, soon())).ended
    assert len(bench.shop.bank.calls) == 1


@pytest.mark.parametrize("forward", [True, False])
async def test_a_hook_that_fails_for_good_parks_its_step_until_an_operator_retries_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, forward: bool
) -> None:
    mended: list[bool] = []
    hook = "_confirmed" if forward else "_rejected"
    works = getattr(bench.shop, hook)

    async def fails(*given: Any) -> None:
        if not mended:
            raise RuntimeError("a bug in a hook")
        await works(*given)

    monkeypatch.setattr(bench.shop, hook, fails)
    if not forward:
        bench.shop.bank.does.append(REFUSE)
    runner = bench.runner(settings=replace(QUICK, park_after=4))
    ref = await bench.shop.start(runner)
    await until_parked(runner, ref)
    (parked,) = await runner.parked()
    assert (parked.ref, parked.step) == (ref, "charge" if forward else "reserve")
    assert parked.state is (StepState.PARKED if forward else StepState.UNDO_PARKED)
    assert parked.note == "not recorded: RuntimeError"
    assert parked.tries >= 4
    mended.append(True)
    assert await retry(bench, ref)
    bench.go(runner)
    await bench.at_rest(runner, ref, SagaOutcome.COMMITTED if forward else SagaOutcome.REJECTED)


async def test_a_database_that_is_away_parks_nothing(bench: Bench) -> None:
    failures = iter([StoreUnavailable("away")] * 4)

    async def record(tx: Transaction, call: StepCall, result: bytes) -> None:
        for failure in failures:
            raise failure

    saga = Saga("only", Step("charge", do=bench.shop.bank.do, record=record, pivot=True))
    runner = bench.runner("A", replace(QUICK, park_after=2), saga)
    ref = await bench.shop.database.run(lambda tx: runner.start(tx, "only", "O-1", 1, b""))
    assert (await runner.wait_ended(ref, soon())).ended
    assert len(bench.shop.bank.calls) == 1


async def test_a_commit_whose_answer_was_lost_is_not_repeated(bench: Bench) -> None:
    run = bench.shop.database.run

    async def deaf(work: Any, **how: bool) -> Any:
        result = await run(work, **how)
        if len(bench.shop.bank.calls) == 1 and not lost:
            lost.append(result)
            raise StoreUnavailable("the connection broke in the commit")
        return result

    lost: list[Any] = []
    bench.shop.database.run = deaf  # type: ignore[method-assign]
    runner = bench.runner()
    ref = await bench.shop.start(runner)
    await bench.at_rest(runner, ref, SagaOutcome.COMMITTED)
    assert len(lost) == 1
    assert await bench.shop.story() == ["placed", "reserved", "confirmed: did O-1:1:charge", "ended"]


async def test_an_error_in_a_step_is_unknown_not_the_end(bench: Bench) -> None:
    errors = iter([ValueError("a bug in a step"), asyncio.CancelledError()])

    async def do(call: StepCall) -> None:
        for error in errors:
            raise error

    runner = bench.runner("A", QUICK, Saga("only", Step("stumble", do=do, pivot=True)))
    ref = await bench.shop.database.run(lambda tx: runner.start(tx, "only", "O-1", 1, b""))
    assert (await runner.wait_ended(ref, soon())).ended


async def test_many_at_once(bench: Bench) -> None:
    bench.shop.bank.does.extend([REFUSE, LOST, NOT_SENT, VANISH] * 5)
    runner = bench.runner()
    refs = await asyncio.gather(*(bench.shop.start(runner, f"O-{number}") for number in range(40)))
    for ref in refs:
        progress = await runner.wait_ended(ref, soon())
        assert await violations(bench.shop, progress, ref.subject) == []
    assert await runner.counts() == {}


async def test_a_database_that_was_away_brings_no_later_failure_closer_to_the_limit(bench: Bench) -> None:
    failures = iter([*[StoreUnavailable("away")] * 4, RuntimeError("a hook that fails once")])

    async def record(tx: Transaction, call: StepCall, result: bytes) -> None:
        for failure in failures:
            raise failure

    saga = Saga("only", Step("charge", do=bench.shop.bank.do, record=record, pivot=True))
    runner = bench.runner("A", replace(QUICK, park_after=2), saga)
    ref = await bench.shop.database.run(lambda tx: runner.start(tx, "only", "O-1", 1, b""))
    progress = await runner.wait_ended(ref, soon())
    assert (progress.ended, progress.parked) == (True, False)


async def test_what_is_parked_can_be_left_to_the_next_start(bench: Bench) -> None:
    bench.shop.bank.does.append(REFUSE)
    bench.shop.stock.undoes.extend([VANISH] * 3)
    runner = bench.runner(settings=SagaSettings(pause=0.001, poll=0.02, park_after=3))
    ref = await bench.shop.start(runner)
    await until_parked(runner, ref)
    await runner.close()
    assert await retry(bench, ref)
    assert not await retry(bench, ref)
    assert await bench.shop.database.read(maintenance.counts) == {("place", "turned_back"): 1}
    restarted = bench.runner("B")
    bench.go(restarted)
    await bench.at_rest(restarted, ref, SagaOutcome.REJECTED)


async def test_a_step_refused_after_the_pivot_is_tried_again_at_the_next_start(bench: Bench) -> None:
    bench.shop.depot.does.append(REFUSE)
    runner = bench.runner()
    ref = await bench.shop.start(runner)
    await until_parked(runner, ref)
    await runner.close()
    assert await retry(bench, ref)
    restarted = bench.runner("B")
    bench.go(restarted)
    await bench.at_rest(restarted, ref, SagaOutcome.COMMITTED)


async def test_what_an_old_run_carried_is_dropped_and_how_it_ended_is_kept(bench: Bench) -> None:
    bench.shop.bank.does.append(REFUSE)
    runner = bench.runner(settings=replace(QUICK, retention=-1.0, sweep=0.01, sweep_batch=1))
    refused = await bench.shop.start(runner, "O-1")
    done = await bench.shop.start(runner, "O-2")
    before = await runner.wait_ended(refused, soon())
    await runner.wait_ended(done, soon())
    bench.go(runner)
    while await bench.shop.database.read(select("SELECT 1 AS one FROM souk_saga_run WHERE NOT forgotten")):
        await asyncio.sleep(0.01)
    for carried in ("SELECT input AS kept FROM souk_saga_run", "SELECT result AS kept FROM souk_saga_step"):
        rows = await bench.shop.database.read(select(carried))
        assert {row["kept"] for row in rows} == {b""}
    assert await bench.shop.database.read(lambda tx: runner.progress(tx, refused)) == before
    assert not await bench.shop.database.read(lambda tx: runner.open(tx, "O-1"))


async def test_what_a_recent_run_carried_is_kept(bench: Bench) -> None:
    runner = bench.runner()
    await runner.wait_ended(await bench.shop.start(runner), soon())
    assert await bench.shop.database.run(lambda tx: maintenance.forget(tx, 3_600.0, 10)) == 0


async def test_turned_away_before_the_pivot_is_as_not_sent(bench: Bench) -> None:
    bench.shop.bank.does.append(TURNED_AWAY)
    runner = bench.runner()
    ref = await bench.shop.start(runner)
    await bench.at_rest(runner, ref, SagaOutcome.REJECTED)
    refusal = (await runner.wait(ref, soon())).refusal
    assert refusal is not None
    assert (refusal.sent, refusal.final) == (False, False)


async def test_turned_away_after_the_pivot_parks_nothing(bench: Bench) -> None:
    """However often, and though the contract calls it final: nobody has looked at the step."""
    bench.shop.depot.does.extend([TURNED_AWAY] * 8)
    runner = bench.runner(settings=replace(QUICK, park_after=4))
    ref = await bench.shop.start(runner)
    await bench.at_rest(runner, ref, SagaOutcome.COMMITTED)
    assert len(bench.shop.depot.calls) == 9


async def test_an_undo_that_is_turned_away_parks_nothing(bench: Bench) -> None:
    bench.shop.bank.does.append(REFUSE)
    bench.shop.stock.undoes.extend([TURNED_AWAY] * 8)
    runner = bench.runner(settings=replace(QUICK, park_after=4))
    ref = await bench.shop.start(runner)
    await bench.at_rest(runner, ref, SagaOutcome.REJECTED)
    assert len([what for what, _ in bench.shop.stock.calls if what == "undo"]) == 9


async def test_tries_that_were_not_sent_bring_no_undo_closer_to_its_limit(bench: Bench) -> None:
    bench.shop.bank.does.append(REFUSE)
    bench.shop.stock.undoes.extend([*[NOT_SENT] * 8, VANISH, NOT_SENT, VANISH, TURNED_AWAY, VANISH])
    runner = bench.runner(settings=replace(QUICK, park_after=4))
    ref = await bench.shop.start(runner)
    await bench.at_rest(runner, ref, SagaOutcome.REJECTED)


async def test_tries_that_were_not_sent_bring_no_step_after_the_pivot_closer_to_its_limit(bench: Bench) -> None:
    bench.shop.depot.does.extend([*[NOT_SENT] * 8, NOT_NOW, NOT_SENT, NOT_NOW])
    runner = bench.runner(settings=replace(QUICK, park_after=3))
    ref = await bench.shop.start(runner)
    await bench.at_rest(runner, ref, SagaOutcome.COMMITTED)


async def test_an_undo_is_parked_after_as_many_tries_as_were_sent(bench: Bench) -> None:
    """The tries of an owner that crashed count as well: they are recorded."""
    bench.shop.bank.does.append(REFUSE)
    pause = asyncio.Event()
    bench.shop.stock.undoes.extend([NOT_SENT, VANISH, NOT_SENT, VANISH, pause])
    first = bench.runner(settings=replace(QUICK, park_after=3))
    ref = await bench.shop.start(first)
    while len(bench.shop.stock.calls) < 6:
        bench.shop.stock.called.clear()
        await bench.shop.stock.called.wait()
    await first.close()
    bench.shop.stock.undoes.extend([NOT_SENT, VANISH])
    second = bench.runner("B", replace(QUICK, park_after=3))
    bench.go(second)
    await until_parked(second, ref)
    (parked,) = await second.parked()
    assert (parked.tries, len([what for what, _ in bench.shop.stock.calls if what == "undo"])) == (6, 7)
