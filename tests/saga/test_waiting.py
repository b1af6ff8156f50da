"""Steps that wait for a message, or for a time: by its key and id, in time or late, on whichever replica."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest

from souk.kernel.clock import SystemClock
from souk.kernel.errors import InvalidArgument
from souk.saga.definition import Saga, SagaRef, Step
from souk.saga.operator.actions import ActionEffect, ActionRequest, RunAction, act
from souk.saga.operator.run_filter import RunFilter
from souk.saga.operator.run_records import RunRecord, find_runs
from souk.saga.runner import SagaOutcome, SagaProgress, SagaRunner, SagaSettings
from souk.saga.takeover.due import due_runs
from souk.saga.waiting.saga_message import MessageFate, MessageReceipt, SagaMessage
from souk.saga.waits import receive, timer
from souk.testing.saga_suite import PATIENCE, REFUSE, Shop, violations
from tests.saga.conftest import OpenShop

CLOCK = SystemClock()
QUICK = SagaSettings(lease=0.3, claim=0.02, poll=0.02, pause=0.002, longest_pause=0.01, park_after=2)
REF = SagaRef("place", "O-1", 1)
LONG = 3_600.0


@pytest.fixture
def open_shop(open_shop: OpenShop) -> OpenShop:
    """Opens shops whose sagas wait for an approval, long if nothing else is said."""
    return partial(open_shop, approval=LONG)


@pytest.fixture
async def shop(open_shop: OpenShop) -> Shop:
    return await open_shop()


@pytest.fixture
async def at_work() -> AsyncIterator[Callable[..., SagaRunner]]:
    tasks: list[asyncio.Task[None]] = []

    def start(shop: Shop, owner: str = "A", settings: SagaSettings = QUICK) -> SagaRunner:
        runner = SagaRunner(shop.database, [shop.saga()], CLOCK, owner, settings, service="order")
        tasks.append(asyncio.create_task(runner.run()))
        return runner

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


Working = Callable[..., SagaRunner]


async def found(shop: Shop, state: str = "waiting") -> list[RunRecord]:
    return await shop.database.read(partial(find_runs, wanted=RunFilter(state), limit=100_000))


async def waiting(shop: Shop, step: str = "approval", count: int = 1) -> list[RunRecord]:
    async with asyncio.timeout(6 * PATIENCE):
        while True:
            runs = await found(shop)
            if sum(run.steps[-1].name == step for run in runs) == count:
                return runs
            await asyncio.sleep(0.01)


async def at_rest(shop: Shop, runner: SagaRunner, outcome: SagaOutcome, ref: SagaRef = REF) -> SagaProgress:
    progress = await runner.wait_ended(ref, CLOCK.monotonic() + 3 * PATIENCE)
    assert progress.outcome is outcome
    assert await violations(shop, progress, ref.subject) == []
    return progress


async def ask(shop: Shop, action: RunAction, step: str = "") -> ActionEffect:
    request = ActionRequest(action, "ann", "ticket 1", step)
    return await shop.database.run(partial(act, ref=REF, request=request))


async def test_a_run_goes_on_when_its_message_comes(shop: Shop, at_work: Working) -> None:
    runner = at_work(shop)
    await shop.start(runner)
    (run,) = await waiting(shop)
    assert (run.state, run.steps[-1].message, run.steps[-1].key, run.owner) == ("waiting", "approval", "O-1", "")
    assert 0 <= run.steps[-1].until - run.steps[-1].changed_at - LONG * 1_000_000 < 60_000_000
    assert runner._tasks == {}
    assert await shop.deliver(runner) == MessageReceipt(MessageFate.TAKEN, REF, "approval")
    await at_rest(shop, runner, SagaOutcome.COMMITTED)
    assert "approved: yes" in await shop.story()


async def test_a_message_that_comes_before_the_step_is_found(shop: Shop, at_work: Working) -> None:
    gate = asyncio.Event()
    shop.stock.does.append(gate)
    runner = at_work(shop)
    await shop.start(runner)
    await asyncio.wait_for(shop.stock.called.wait(), PATIENCE)
    assert (await shop.deliver(runner)).fate is MessageFate.TAKEN
    gate.set()
    await at_rest(shop, runner, SagaOutcome.COMMITTED)


async def test_a_message_that_comes_before_the_run_is_kept(shop: Shop, at_work: Working) -> None:
    runner = at_work(shop)
    assert await shop.deliver(runner) == MessageReceipt(MessageFate.KEPT)
    assert await shop.deliver(runner) == MessageReceipt(MessageFate.KEPT, repeated=True)
    await shop.start(runner)
    assert await shop.deliver(runner) == MessageReceipt(MessageFate.TAKEN, REF, repeated=True)
    await at_rest(shop, runner, SagaOutcome.COMMITTED)


async def test_of_two_messages_the_first_counts_and_the_other_is_late(shop: Shop, at_work: Working) -> None:
    runner = at_work(shop)
    await shop.start(runner)
    await waiting(shop)
    first, again = await shop.deliver(runner), await shop.deliver(runner, verdict="no")
    second = await shop.deliver(runner, verdict="no", message_id="M-2")
    assert (first.fate, again.repeated, second.fate, second.ref) == (MessageFate.TAKEN, True, MessageFate.LATE, REF)
    await at_rest(shop, runner, SagaOutcome.COMMITTED)


async def test_one_message_at_the_same_time_from_many_is_taken_once(shop: Shop, at_work: Working) -> None:
    runner, other = at_work(shop), at_work(shop, "B")
    starting = asyncio.create_task(shop.start(runner))
    deliveries = await asyncio.gather(*(shop.deliver(other) for _ in range(5)))
    await starting
    assert sum(not one.repeated for one in deliveries) == 1
    await at_rest(shop, runner, SagaOutcome.COMMITTED)


async def test_a_message_and_its_step_that_come_at_once_do_not_miss_each_other(shop: Shop, at_work: Working) -> None:
    runner, other = at_work(shop), at_work(shop, "B")
    refs = [SagaRef("place", f"O-{number}", 1) for number in range(40)]

    async def start_and_deliver(ref: SagaRef) -> None:
        await shop.start(runner, ref.subject)
        await shop.deliver(other, ref.subject, message_id=ref.subject)

    await asyncio.gather(*map(start_and_deliver, refs))
    for ref in refs:
        await at_rest(shop, runner, SagaOutcome.COMMITTED, ref)


async def test_a_message_that_says_no_turns_the_run_back(shop: Shop, at_work: Working) -> None:
    runner = at_work(shop)
    await shop.start(runner)
    await waiting(shop)
    await shop.deliver(runner, verdict="no")
    progress = await at_rest(shop, runner, SagaOutcome.REJECTED)
    assert progress.refusal is not None
    assert (progress.refusal.step, progress.refusal.reason) == ("approval", "NOT_APPROVED")
    assert shop.bank.calls == []


async def test_at_the_end_of_the_limit_the_run_turns_back_and_a_message_is_late(
    open_shop: OpenShop, at_work: Working
) -> None:
    shop = await open_shop(approval=0.05)
    runner = at_work(shop)
    await shop.start(runner)
    progress = await at_rest(shop, runner, SagaOutcome.REJECTED)
    assert progress.refusal is not None
    assert (progress.refusal.step, progress.refusal.reason) == ("approval", "NO_MESSAGE")
    assert await shop.deliver(runner) == MessageReceipt(MessageFate.LATE, REF)
    assert await shop.deliver(runner) == MessageReceipt(MessageFate.LATE, REF, repeated=True)


async def test_at_the_end_of_the_limit_the_alternative_is_taken(open_shop: OpenShop, at_work: Working) -> None:
    shop = await open_shop(approval=0.05, goes_on=True)
    runner = at_work(shop)
    await shop.start(runner)
    await at_rest(shop, runner, SagaOutcome.COMMITTED)
    assert "approved: nobody minds" in await shop.story()


async def test_between_the_limit_and_the_look_of_a_runner_a_message_is_late(open_shop: OpenShop) -> None:
    shop = await open_shop(approval=0.05)
    idle = SagaRunner(shop.database, [shop.saga()], CLOCK, "A", QUICK, service="order")
    await shop.start(idle)
    await waiting(shop)
    await asyncio.sleep(0.1)  # the limit itself; nobody looks at the run
    assert (await shop.deliver(idle)).fate is MessageFate.LATE
    await idle.close()


async def test_a_message_in_time_counts_though_nobody_looks_until_later(open_shop: OpenShop, at_work: Working) -> None:
    shop = await open_shop(approval=0.5)
    idle = SagaRunner(shop.database, [shop.saga()], CLOCK, "A", QUICK, service="order")
    await shop.start(idle)
    await waiting(shop)
    assert (await shop.deliver(idle)).fate is MessageFate.TAKEN
    await idle.close()
    await asyncio.sleep(0.6)  # the limit itself
    await at_rest(shop, at_work(shop, "B"), SagaOutcome.COMMITTED)


async def test_the_deadline_of_the_run_waits_with_it(open_shop: OpenShop, at_work: Working) -> None:
    shop = await open_shop(deadline=1.0)
    runner = at_work(shop)
    await shop.start(runner)
    (before,) = await waiting(shop)
    await asyncio.sleep(1.2)  # the deadline itself
    assert await found(shop, "stuck") == []
    await shop.deliver(runner)
    await at_rest(shop, runner, SagaOutcome.COMMITTED)
    (after,) = await found(shop, "ended")
    assert after.deadline_at >= before.deadline_at + 1_200_000


async def test_a_timer_lets_the_time_pass_and_holds_nothing(open_shop: OpenShop, at_work: Working) -> None:
    shop = await open_shop(cooling=0.4)
    runner = at_work(shop)
    await shop.deliver(runner)
    await shop.start(runner)
    (run,) = await waiting(shop, "cooling off")
    assert (run.state, run.steps[-1].message) == ("waiting", "")
    assert shop.depot.calls == []
    await at_rest(shop, runner, SagaOutcome.COMMITTED)
    (ended,) = await found(shop, "ended")
    ship = next(step for step in ended.steps if step.name == "ship")
    assert ship.changed_at >= run.steps[-1].changed_at + 400_000


async def test_whichever_replica_takes_the_message_and_whichever_goes_on(shop: Shop, at_work: Working) -> None:
    first = SagaRunner(shop.database, [shop.saga()], CLOCK, "first", QUICK, service="order")
    refs = [await shop.start(first, f"O-{number}") for number in range(20)]
    await waiting(shop, count=20)
    await first.close()
    others = [at_work(shop, f"R{number}") for number in range(3)]
    fates = await asyncio.gather(
        *(shop.deliver(others[number % 3], f"O-{number}", message_id=f"M-{number}") for number in range(20))
    )
    assert {one.fate for one in fates} == {MessageFate.TAKEN}
    for ref in refs:
        await at_rest(shop, others[0], SagaOutcome.COMMITTED, ref)


async def test_a_later_refusal_undoes_what_was_before_the_wait(shop: Shop, at_work: Working) -> None:
    shop.bank.does.append(REFUSE)
    runner = at_work(shop)
    await shop.start(runner)
    await waiting(shop)
    await shop.deliver(runner)
    await at_rest(shop, runner, SagaOutcome.REJECTED)


async def test_an_operator_turns_a_waiting_run_back(shop: Shop, at_work: Working) -> None:
    runner = at_work(shop)
    await shop.start(runner)
    await waiting(shop)
    assert not (await ask(shop, RunAction.RETRY)).changed
    assert (await ask(shop, RunAction.COMPENSATE)).changed
    await at_rest(shop, runner, SagaOutcome.REJECTED)
    assert (await shop.deliver(runner)).fate is MessageFate.LATE


async def test_an_operator_goes_on_without_the_message(open_shop: OpenShop, at_work: Working) -> None:
    shop = await open_shop(cooling=LONG)
    runner = at_work(shop)
    await shop.start(runner)
    await waiting(shop)
    assert (await ask(shop, RunAction.RESOLVE)).text == "approval counts as done"
    await waiting(shop, "cooling off")
    assert (await ask(shop, RunAction.RESOLVE, "cooling off")).changed
    await at_rest(shop, runner, SagaOutcome.COMMITTED)
    assert "approved: " in await shop.story()


async def test_while_it_is_paused_the_limit_waits_and_a_message_is_taken(open_shop: OpenShop, at_work: Working) -> None:
    shop = await open_shop(approval=1.0)
    runner = at_work(shop)
    await shop.start(runner)
    (before,) = await waiting(shop)
    assert (await ask(shop, RunAction.PAUSE)).changed
    await asyncio.sleep(1.2)  # the limit itself
    assert (await shop.deliver(runner)).fate is MessageFate.TAKEN
    assert "approved: yes" not in await shop.story()
    assert (await ask(shop, RunAction.RESUME)).changed
    await at_rest(shop, runner, SagaOutcome.COMMITTED)
    (after,) = await found(shop, "ended")
    assert after.deadline_at >= before.deadline_at + 1_200_000


async def test_a_paused_run_waits_its_whole_limit_after_it_is_resumed(open_shop: OpenShop, at_work: Working) -> None:
    shop = await open_shop(approval=LONG)
    runner = at_work(shop)
    await shop.start(runner)
    (before,) = await waiting(shop)
    await ask(shop, RunAction.PAUSE)
    await ask(shop, RunAction.RESUME)
    (after,) = await waiting(shop)
    assert after.steps[-1].until > before.steps[-1].until
    async with asyncio.timeout(PATIENCE):  # a runner looks at it, finds nothing, and lets it rest
        while (await waiting(shop))[0].owner:
            await asyncio.sleep(0.01)
    await shop.deliver(runner)
    await at_rest(shop, runner, SagaOutcome.COMMITTED)


async def test_a_message_whose_record_fails_is_not_lost(open_shop: OpenShop, at_work: Working) -> None:
    shop = await open_shop()
    failing = True

    async def record(*_: object) -> None:
        if failing:
            raise RuntimeError("the hook fails")

    saga = Saga("place", receive("approval", limit=LONG, record=record), Step("x", pivot=True), rejected=record)
    runner = SagaRunner(shop.database, [saga], CLOCK, "A", QUICK, service="order")
    work = asyncio.create_task(runner.run())
    await shop.start(runner)
    await shop.deliver(runner)
    async with asyncio.timeout(PATIENCE):
        while not await found(shop, "parked"):
            await asyncio.sleep(0.01)
    (run,) = await found(shop, "parked")
    assert run.steps[0].state == "wait_parked"
    failing = False
    assert (await ask(shop, RunAction.RETRY)).changed
    assert (await runner.wait_ended(REF, CLOCK.monotonic() + PATIENCE)).outcome is SagaOutcome.COMMITTED
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


async def test_a_check_that_fails_parks_the_wait(open_shop: OpenShop, at_work: Working) -> None:
    shop = await open_shop()
    runner = at_work(shop)
    await shop.start(runner)
    message = SagaMessage("approval", "O-1", "M-1", b"\xff no message of this type")
    await shop.database.run(lambda tx: runner.deliver(tx, message))
    async with asyncio.timeout(PATIENCE):
        while not await found(shop, "parked"):
            await asyncio.sleep(0.01)
    assert (await ask(shop, RunAction.COMPENSATE)).changed
    await at_rest(shop, runner, SagaOutcome.REJECTED)


async def test_many_waiting_runs_cost_rows_only(open_shop: OpenShop, at_work: Working) -> None:
    shop = await open_shop()
    runner = at_work(shop)
    count = 100
    for number in range(count):  # one by one: a hundred serializable transactions at once may collide for too long
        await shop.start(runner, f"O-{number}")
    await waiting(shop, count=count)
    async with asyncio.timeout(PATIENCE):
        while runner._tasks:
            await asyncio.sleep(0.01)
    assert runner._drives == {}
    assert (await runner.counts())["place", "waiting"] == count
    assert await shop.database.run(partial(due_runs, limit=count, versions=runner.versions)) == []


async def test_old_messages_are_dropped_those_of_runs_that_wait_are_not(shop: Shop, at_work: Working) -> None:
    keeps_nothing = SagaSettings(lease=0.3, claim=0.02, poll=0.02, retention=-1.0, sweep=0.01)
    idle = SagaRunner(shop.database, [shop.saga()], CLOCK, "idle", QUICK, service="order")
    await shop.deliver(idle, "O-2", message_id="M-2")
    await shop.start(idle)
    await shop.deliver(idle)
    await waiting(shop)
    await idle.close()

    async def messages() -> list[str]:
        rows = await shop.database.read(lambda tx: tx.fetch("SELECT id FROM souk_saga_message ORDER BY id"))
        return [row["id"] for row in rows]

    assert await messages() == ["M-1", "M-2"]
    runner = at_work(shop, "B", keeps_nothing)
    await at_rest(shop, runner, SagaOutcome.COMMITTED)
    async with asyncio.timeout(PATIENCE):
        while await messages():
            await asyncio.sleep(0.01)
    assert (await shop.deliver(runner)).fate is MessageFate.LATE


async def _call(*_: object) -> None:
    """Stands for a participant."""


def test_what_waits_is_part_of_the_fingerprint_and_its_limit_is_not() -> None:
    def print_of(*steps: Step) -> str:
        return Saga("s", *steps, Step("z", pivot=True), rejected=_call).fingerprint

    assert print_of(receive("a", limit=1.0)) == print_of(receive("a", limit=2.0))
    others = [print_of(receive("a", limit=1.0)), print_of(timer("a", 1.0)), print_of(Step("a"))]
    assert len({*others, print_of(receive("a", message="b", limit=1.0))}) == 4


def test_a_wait_that_makes_no_sense_is_refused() -> None:
    for limit in (0.0, -1.0, 1e18, float("nan")):
        with pytest.raises(ValueError, match="above 0"):
            receive("a", limit=limit)
    for wrong in ({}, {"seconds": 1.0, "at": lambda call: 1}, {"seconds": -1.0}, {"seconds": float("nan")}):
        with pytest.raises(ValueError, match="a timer has"):
            timer("a", **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="after the pivot"):
        Saga("s", Step("p", pivot=True), receive("a", limit=1.0))
    for name, key, message_id in [("", "k", "1"), ("n", "", "1"), ("n", "k", ""), ("n", "k" * 256, "1")]:
        with pytest.raises(InvalidArgument):
            SagaMessage(name, key, message_id)
