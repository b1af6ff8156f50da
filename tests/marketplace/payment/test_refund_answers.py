"""A refund that the provider has not made is not made, whatever else it answered."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from shop.payment.v1 import payment_pb2 as pb

from marketplace.payment.ports import RefundVerdict
from marketplace.payment.use_cases.settle_payment import MOST_ATTEMPTS
from souk.kernel.errors import DomainError
from souk.testing.clocks import FakeClock
from souk.testing.service_host import AbortedError


class Hesitant:
    """A provider that gives its next answers to refunds from a list, and only then does what it is asked."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider
        self.answers: list[RefundVerdict] = []
        self.keys: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    async def refund(self, key: str, charge_key: str, amount: int) -> RefundVerdict:
        self.keys.append(key)
        if self.answers:
            return self.answers.pop(0)
        verdict: RefundVerdict = await self._provider.refund(key, charge_key, amount)
        return verdict

    async def find_refund(self, key: str) -> RefundVerdict | None:
        self.keys.append(f"find {key}")
        if self.answers:
            return self.answers.pop(0)
        verdict: RefundVerdict | None = await self._provider.find_refund(key)
        return verdict


@pytest.fixture
async def hesitant(till: Any, tmp_path: Path, clock: FakeClock) -> AsyncIterator[tuple[Any, Hesitant]]:
    made: list[Hesitant] = []

    def wrap(provider: Any) -> Hesitant:
        made.append(Hesitant(provider))
        return made[0]

    async with till(tmp_path, clock, wrap=wrap) as desk:
        yield desk, made[0]
        await desk.reconcile()


@pytest.mark.parametrize("verdict", [RefundVerdict.PENDING, RefundVerdict.FAILED])
async def test_it_stays_open_and_is_made_later(hesitant: Any, verdict: RefundVerdict) -> None:
    desk, provider = hesitant
    payment = (await desk.charge("k", await desk.card("tok_visa"))).payment_id
    provider.answers = [verdict] * 3
    for _ in range(2):
        with pytest.raises(DomainError, match="REQUEST_IN_PROGRESS"):
            await desk.refund(payment, 300, "r")
        assert (await desk.payment(payment)).refunded == 0
        assert await desk.events() == []
    with pytest.raises(AbortedError, match="DEADLINE_EXCEEDED"):
        await desk.refund_rest(payment, "O-1:1:refund")
    await desk.recover()
    assert (await desk.payment(payment)).refunded == 1_000
    assert sorted(event.amount for event in await desk.events()) == [300, 700]
    assert await desk.bank.taken("EUR") == 0


async def test_a_pending_one_is_asked_about_and_a_failed_one_is_asked_for_anew(hesitant: Any) -> None:
    desk, provider = hesitant
    payment = (await desk.charge("k", await desk.card("tok_visa"))).payment_id
    provider.answers = [RefundVerdict.PENDING, RefundVerdict.PENDING, RefundVerdict.FAILED]
    with pytest.raises(DomainError, match="REQUEST_IN_PROGRESS"):
        await desk.refund(payment, 300, "r")
    await desk.recover(20)
    await desk.recover(20)
    await desk.recover(20)
    first = provider.keys[0]
    assert provider.keys == [first, f"find {first}", f"find {first}", f"{first}/1"]
    assert (await desk.payment(payment)).refunded == 300


async def test_one_that_keeps_failing_waits_for_whoever_asks_for_it_again(hesitant: Any) -> None:
    desk, provider = hesitant
    await desk.charge("k", await desk.card("tok_visa"))
    provider.answers = [RefundVerdict.FAILED] * MOST_ATTEMPTS
    assert await desk.cancel("k") == (pb.PAYMENT_STATUS_CAPTURED, False)
    for _ in range(10):
        await desk.recover()
    assert len(provider.keys) == len(set(provider.keys)) == MOST_ATTEMPTS
    assert await desk.rows("SELECT id FROM refunds WHERE NOT done AND next_try_at IS NULL")
    assert await desk.cancel("k") == (pb.PAYMENT_STATUS_REFUNDED, True)
