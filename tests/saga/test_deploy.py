"""A definition changes while 100 runs are open, half of which wait for a message: the check refuses, and with a second
version all of them end."""

import asyncio
from pathlib import Path

from souk.admin.servicers.sagas import ProcessSagas
from souk.cli.commands.saga.checking import compare
from souk.cli.commands.saga.desk import DatabaseDesk
from souk.kernel.clock import SystemClock
from souk.saga.definition import Saga, SagaRef, Step
from souk.saga.runner import SagaOutcome, SagaRunner, SagaSettings
from souk.saga.versions import SagaVersions
from souk.saga.waiting.saga_message import MessageFate
from souk.testing.saga_suite import PATIENCE, VANISH, Shop, violations

CLOCK = SystemClock()
RUNS = 100
SETTINGS = SagaSettings(lease=0.5, claim=0.02, poll=0.02, pause=0.01, longest_pause=0.05)


def second(shop: Shop, version: int) -> Saga:
    """The definition of the next program: the bank is asked first, and the first step has another name."""
    old = {step.name: step for step in shop.saga().steps}
    hold = Step("hold", do=shop.stock.do, undo=shop.stock.undo, record=old["reserve"].record)
    steps = (old["charge"], hold, old["confirm"], old["ship"])
    return Saga("place", *steps, version=version, rejected=shop.saga().rejected, ended=shop.saga().ended)


async def test_show_4(tmp_path: Path) -> None:
    shop = await Shop.open(tmp_path, approval=3_600.0)
    shop.bank.does.extend([VANISH] * RUNS)
    first = SagaRunner(shop.database, [shop.saga()], CLOCK, "first", SagaSettings(pause=30.0), service="shop")
    work = asyncio.create_task(first.run())
    old = [await shop.start(first, f"O-{number}") for number in range(RUNS)]
    approved, waiting = old[: RUNS // 2], old[RUNS // 2 :]
    for ref in approved:
        await shop.deliver(first, ref.subject, message_id=ref.subject)
    async with asyncio.timeout(6 * PATIENCE):
        while len(shop.bank.calls) < len(approved) or (await first.counts()).get(("place", "waiting")) != len(waiting):
            await asyncio.sleep(0.01)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    desk = DatabaseDesk(ProcessSagas({"shop": shop.database}), at_work=False)

    changed = await compare(desk, {"shop": SagaVersions([second(shop, 1)])})
    assert len(changed.stranded) == RUNS
    assert {run.saga for run, _ in changed.stranded} == {"place"}
    assert len((await compare(desk, {"shop": SagaVersions([second(shop, 2)])})).stranded) == RUNS
    both = [shop.saga(), second(shop, 2)]
    assert (await compare(desk, {"shop": SagaVersions(both)})).stranded == []

    after = SagaRunner(shop.database, both, CLOCK, "after", SETTINGS, service="shop")
    await after.require_compatible()
    work = asyncio.create_task(after.run())
    new = [await shop.start(after, f"N-{number}") for number in range(RUNS)]
    for ref in waiting:
        delivery = await shop.deliver(after, ref.subject, message_id=ref.subject)
        assert (delivery.fate, delivery.ref) == (MessageFate.TAKEN, ref)
    for ref in (*old, *new):
        progress = await after.wait_ended(ref, CLOCK.monotonic() + 6 * PATIENCE)
        assert progress.outcome is SagaOutcome.COMMITTED
        assert await violations(shop, progress, ref.subject) == []
    held = {key for what, key in shop.stock.calls if what == "do"}
    assert held == {_key(ref, "reserve") for ref in old} | {_key(ref, "hold") for ref in new}
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    await shop.close()


def _key(ref: SagaRef, step: str) -> str:
    return f"{ref.subject}:{ref.attempt}:{step}"
