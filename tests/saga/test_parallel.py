"""Steps beside each other: called at once, all done before the next one, and undone together."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from souk.kernel.clock import SystemClock
from souk.saga.definition import Saga, Step, parallel
from souk.saga.runner import SagaOutcome, SagaRunner, SagaSettings
from souk.testing.saga_suite import LOST, PATIENCE, REFUSE, VANISH, Shop, violations

CLOCK = SystemClock()
QUICK = SagaSettings(lease=0.3, claim=0.02, poll=0.02, pause=0.002, longest_pause=0.01)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    shop = await Shop.open(tmp_path, wide=True)
    yield shop
    await shop.close()


@pytest.fixture
async def runner(shop: Shop) -> AsyncIterator[SagaRunner]:
    runner = SagaRunner(shop.database, [shop.saga()], CLOCK, "A", QUICK, service="order")
    yield runner
    await runner.close()


async def at_rest(shop: Shop, runner: SagaRunner, outcome: SagaOutcome) -> None:
    (ref,) = [await shop.start(runner)]
    progress = await runner.wait_ended(ref, CLOCK.monotonic() + PATIENCE)
    assert progress.outcome is outcome
    assert await violations(shop, progress) == []


async def test_they_are_called_at_once_and_the_next_step_waits_for_all(shop: Shop, runner: SagaRunner) -> None:
    gates = [asyncio.Event(), asyncio.Event()]
    shop.stock.does.append(gates[0])
    shop.bank.does.append(gates[1])
    ref = await shop.start(runner)
    for participant in (shop.stock, shop.bank):
        await asyncio.wait_for(participant.called.wait(), PATIENCE)
    gates[1].set()
    async with asyncio.timeout(PATIENCE):
        while shop.bank.effects("O-1") == 0:
            await asyncio.sleep(0.01)
    assert await shop.story() == ["placed"]
    gates[0].set()
    progress = await runner.wait_ended(ref, CLOCK.monotonic() + PATIENCE)
    assert progress.outcome is SagaOutcome.COMMITTED
    assert await violations(shop, progress) == []


@pytest.mark.parametrize(("stock", "bank"), [([REFUSE], []), ([], [REFUSE]), ([REFUSE], [REFUSE]), ([LOST], [REFUSE])])
async def test_one_that_fails_undoes_all_of_them(
    shop: Shop, runner: SagaRunner, stock: list[str], bank: list[str]
) -> None:
    shop.stock.does.extend(stock)
    shop.bank.does.extend(bank)
    await at_rest(shop, runner, SagaOutcome.REJECTED)


async def test_lost_answers_are_asked_for_again(shop: Shop, runner: SagaRunner) -> None:
    shop.stock.does.extend([LOST, VANISH])
    shop.bank.does.extend([VANISH, LOST, VANISH])
    await at_rest(shop, runner, SagaOutcome.COMMITTED)


async def test_another_owner_goes_on_with_both(shop: Shop, runner: SagaRunner) -> None:
    shop.stock.does.append(asyncio.Event())
    shop.bank.does.append(asyncio.Event())
    ref = await shop.start(runner)
    for participant in (shop.stock, shop.bank):
        await asyncio.wait_for(participant.called.wait(), PATIENCE)
    await runner.close()
    other = SagaRunner(shop.database, [shop.saga()], CLOCK, "B", QUICK, service="order")
    work = asyncio.create_task(other.run())
    progress = await other.wait_ended(ref, CLOCK.monotonic() + PATIENCE)
    assert progress.outcome is SagaOutcome.COMMITTED
    assert await violations(shop, progress) == []
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


async def _call(*_: object) -> None:
    """Stands for a participant."""


def test_a_group_changes_the_fingerprint_and_takes_no_pivot_and_no_local_step() -> None:
    one, two = Step("a", do=_call), Step("b", do=_call)
    assert Saga("s", one, two).fingerprint != Saga("s", *parallel(one, two)).fingerprint
    for wrong in [(one,), (one, Step("c", record=_call)), (one, Step("c", do=_call, pivot=True))]:
        with pytest.raises(ValueError, match=r"parallel needs|beside others"):
            parallel(*wrong)
