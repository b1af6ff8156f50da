"""One customer closes card payments for nobody else, and recovery takes nothing from live requests."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from marketplace.payment.adapters.guarded_provider import BREAKER, GuardedProvider
from marketplace.payment.domain import MOST_REFUSED, REFUSED_SPAN, FailingCards
from marketplace.payment.ports import ProviderSilent, ProviderUnavailable
from marketplace.payment.service import service
from souk.kernel.errors import DomainError
from souk.resilience.breaker.breaker import Breaker, State
from souk.testing.clocks import FakeClock
from souk.testing.service_host import AbortedError, service_host


class Counting:
    """A provider that counts requests; while `away`, it cannot be reached."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider
        self.charges = 0
        self.silent = self.away = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    async def charge(self, *arguments: Any) -> Any:
        self.charges += 1
        if self.away:
            raise ProviderUnavailable("away")
        if self.silent:
            raise ProviderSilent("silent")
        return await self._provider.charge(*arguments)


@pytest.fixture
async def guarded(till: Any, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Any]:
    made: list[Any] = []

    def wrap(provider: Any) -> Any:
        made[:] = [Counting(provider), Breaker(BREAKER)]
        return GuardedProvider(made[0], made[1], clock)

    async with till(tmp_path, clock, wrap=wrap) as desk:
        yield desk, made[0], made[1]


async def reason_of(call: Any) -> tuple[str, float | None]:
    try:
        await call
    except DomainError as refused:
        return refused.reason, refused.retry_after
    except AbortedError:
        return "unknown", None
    return "done", None


@pytest.mark.parametrize("token", ["tok_error", "tok_declined"])
async def test_refusals_of_one_customer_close_nothing_for_others(guarded: Any, token: str) -> None:
    desk, _, breaker = guarded
    for n in range(72):
        assert (await reason_of(desk.top_up(f"t{n}", 100, token, user="U-eve")))[0] != "done"
    assert breaker.state is State.CLOSED
    for n in range(58):
        assert await desk.top_up("t", 100, user=f"U-{n}") == 100


async def test_the_silence_of_one_card_counts_once_and_that_of_many_opens(guarded: Any) -> None:
    desk, provider, breaker = guarded
    provider.silent = True
    for n in range(30):
        assert await reason_of(desk.top_up(f"t{n}", 100, user="U-eve")) == ("REQUEST_IN_PROGRESS", 2.0)
    assert breaker.state is State.CLOSED
    for n in range(30):
        await reason_of(desk.top_up("t", 100, user=f"U-{n}"))
    assert breaker.state is State.OPEN


async def test_that_nobody_is_there_counts_whoever_asks(guarded: Any) -> None:
    desk, provider, breaker = guarded
    provider.away = True
    for n in range(12):
        assert (await reason_of(desk.top_up(f"t{n}", 100)))[0] == "PAYMENT_UNAVAILABLE"
    assert breaker.state is State.OPEN


async def test_a_customer_whose_cards_fail_has_a_budget_and_is_told_when_to_come_back(guarded: Any) -> None:
    desk, provider, _ = guarded
    card = await desk.card("tok_error")
    for n in range(MOST_REFUSED):
        assert (await reason_of(desk.charge(f"k{n}", card)))[0] == "PAYMENT_UNAVAILABLE"
    asked = provider.charges
    refused = [await reason_of(desk.charge("k-new", card)), await reason_of(desk.charge("k0", card))]
    refused += [await reason_of(desk.top_up("t-new", 100))]
    assert refused == [("PAYMENT_UNAVAILABLE", REFUSED_SPAN)] * 3
    assert provider.charges == asked
    assert len(await desk.rows("SELECT id FROM payments")) == MOST_REFUSED, "what is refused leaves nothing behind"
    assert await desk.top_up("t", 100, user="U-2") == 100
    desk.clock.advance(REFUSED_SPAN + 1)
    assert await desk.top_up("t-new", 100) == 100


async def test_what_is_under_way_goes_on_without_a_budget(guarded: Any) -> None:
    desk, provider, _ = guarded
    provider.silent = True
    assert (await reason_of(desk.top_up("unknown", 100)))[0] == "REQUEST_IN_PROGRESS"
    provider.silent = False
    for n in range(MOST_REFUSED):
        await reason_of(desk.top_up(f"t{n}", 100, "tok_error"))
    assert await desk.top_up("unknown", 100) == 100


def test_budgets_are_of_a_bounded_number_of_customers() -> None:
    cards = FailingCards(most=1)
    for n in range(10_001):
        cards.note(f"U-{n}", 0.0)
    assert cards.wait("U-0", 1.0) == 0.0
    assert cards.wait("U-1", 1.0) == REFUSED_SPAN - 1.0


async def test_recovery_needs_no_permit_of_live_requests(tmp_path: Path, clock: FakeClock) -> None:
    async with service_host(service, tmp_path, clock=clock) as host:
        parts = await service.build(host)
        await parts.demo()
        breaker = parts.breakers["card-provider"]
        due = "UPDATE payments SET status = 'PENDING', next_try_at = $1"
        await host.database.run(lambda tx: tx.execute("DELETE FROM postings"))
        await host.database.run(lambda tx: tx.execute("DELETE FROM wallets"))
        await host.database.run(lambda tx: tx.execute(due, clock.now()))
        breaker.force_open(clock.monotonic())
        tasks = [asyncio.ensure_future(task()) for task in parts.tasks.values()]
        async with asyncio.timeout(120):
            while True:
                row = await host.database.read(lambda tx: tx.fetch_one("SELECT status FROM payments"))
                if row is not None and row["status"] == "CAPTURED":
                    break
                await asyncio.sleep(0.01)
        assert breaker.snapshot(clock.monotonic()).refused == 0
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_replacing_the_provider_keeps_the_locks(desk: Any) -> None:
    assert replace(desk.deps, provider=desk.deps.provider).locks is desk.deps.locks
