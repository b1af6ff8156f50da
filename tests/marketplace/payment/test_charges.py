import asyncio
from typing import Any

import pytest
from shop.payment.v1 import payment_pb2 as pb

from marketplace.payment.domain import Status
from souk.kernel.errors import DomainError, InvalidArgument
from souk.testing.service_host import AbortedError

CAPTURED = pb.PAYMENT_STATUS_CAPTURED


async def test_a_visa_is_charged_once_however_often_it_is_asked(desk) -> None:
    card = await desk.card("tok_visa")
    answers = await asyncio.gather(*(desk.charge("k", card) for _ in range(10)))
    assert {answer.status for answer in answers} == {CAPTURED}
    assert len({answer.payment_id for answer in answers}) == 1
    assert await desk.bank.taken("EUR") == 1_000
    assert await desk.account("sales") == 1_000
    shown = await desk.payment(answers[0].payment_id)
    assert (shown.method, shown.amount, shown.currency, shown.order_id) == ("visa 4242", 1_000, "EUR", "O-1")


@pytest.mark.parametrize(
    ("token", "reason"), [("tok_declined", "card_declined"), ("tok_insufficient_funds", "insufficient_funds")]
)
async def test_a_declined_card_stays_declined(desk, token, reason) -> None:
    card = await desk.card(token)
    for _ in range(2):
        with pytest.raises(DomainError, match="PAYMENT_DECLINED") as refused:
            await desk.charge("k", card)
        assert refused.value.details[0].reason == reason
    assert await desk.status("k") is Status.DECLINED
    assert await desk.cancel("k") == (pb.PAYMENT_STATUS_DECLINED, True)


async def test_a_card_that_fails_at_the_provider_is_not_charged_and_may_be_tried_again(desk) -> None:
    card = await desk.card("tok_error")
    for _ in range(2):
        with pytest.raises(DomainError, match="PAYMENT_UNAVAILABLE") as refused:
            await desk.charge("k", card)
        assert refused.value.retry_after
        assert await desk.status("k") is Status.VOIDED
    await desk.cancel("k")
    with pytest.raises(DomainError, match="CHARGE_CANCELLED"):
        await desk.charge("k", card)


async def test_a_lost_answer_is_found_by_key(desk) -> None:
    card = await desk.card("tok_timeout")
    assert (await desk.charge("k", card)).status == CAPTURED
    assert (await desk.charge("k", card)).status == CAPTURED
    assert await desk.bank.taken("EUR") == 1_000


async def test_a_slow_charge_is_unknown_until_it_settles(desk) -> None:
    card = await desk.card("tok_slow")
    with pytest.raises(AbortedError, match="DEADLINE_EXCEEDED"):
        await desk.charge("k", card)
    assert await desk.status("k") is Status.PENDING
    desk.clock.advance(3)
    assert (await desk.charge("k", card)).status == CAPTURED


async def test_a_slow_charge_is_captured_by_recovery_when_nobody_asks_again(desk) -> None:
    card = await desk.card("tok_slow")
    with pytest.raises(AbortedError):
        await desk.charge("k", card)
    await desk.recover(11)
    assert await desk.status("k") is Status.CAPTURED


async def test_a_slow_charge_that_is_cancelled_never_happens(desk) -> None:
    card = await desk.card("tok_slow")
    with pytest.raises(AbortedError):
        await desk.charge("k", card)
    assert await desk.cancel("k") == (pb.PAYMENT_STATUS_VOIDED, True)
    desk.clock.advance(60)
    with pytest.raises(DomainError, match="CHARGE_CANCELLED"):
        await desk.charge("k", card)
    assert await desk.bank.taken("EUR") == 0


@pytest.mark.parametrize(
    "change", [{"amount": 999}, {"currency": "USD"}, {"order": "O-2"}, {"user": "U-2"}, {"card": None}]
)
async def test_a_key_is_refused_for_another_charge(desk, change) -> None:
    card = await desk.card("tok_visa")
    await desk.charge("k", card)
    with pytest.raises(DomainError, match="IDEMPOTENCY_KEY_REUSED"):
        await desk.charge("k", **{"card": card, **change})


async def test_a_cancel_of_what_never_was_blocks_a_late_charge(desk) -> None:
    card = await desk.card("tok_visa")
    for _ in range(2):
        assert await desk.cancel("k") == (pb.PAYMENT_STATUS_UNSPECIFIED, True)
    for source in (card, None):
        with pytest.raises(DomainError, match="CHARGE_CANCELLED"):
            await desk.charge("k", source)
    assert await desk.bank.taken("EUR") == 0


async def test_a_captured_charge_is_undone_without_an_event(desk) -> None:
    card = await desk.card("tok_visa")
    payment_id = (await desk.charge("k", card)).payment_id
    for _ in range(2):
        assert await desk.cancel("k") == (pb.PAYMENT_STATUS_REFUNDED, True)
    shown = await desk.payment(payment_id)
    assert (shown.status, shown.refunded) == (pb.PAYMENT_STATUS_REFUNDED, 1_000)
    with pytest.raises(DomainError, match="CHARGE_CANCELLED"):
        await desk.charge("k", card)
    assert await desk.events() == []
    assert await desk.bank.taken("EUR") == 0


class Held:
    """A provider that charges, and holds its answer back."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.charged, self.go = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def charge(self, *what: Any) -> Any:
        try:
            return await self._inner.charge(*what)
        finally:
            self.charged.set()
            await self.go.wait()


async def test_a_cancel_during_the_charge_gives_the_money_back(till, tmp_path, clock, url) -> None:
    made: list[Held] = []

    def hold(provider: Any) -> Any:
        made.append(Held(provider))
        return made[0]

    async with till(tmp_path, clock, wrap=hold, url=url) as desk:
        card = await desk.card("tok_timeout")
        charging = asyncio.create_task(desk.charge("k", card))
        await asyncio.wait_for(made[0].charged.wait(), 30)
        assert await desk.bank.taken("EUR") == 1_000
        assert await desk.cancel("k") == (pb.PAYMENT_STATUS_PENDING, False)
        made[0].go.set()
        with pytest.raises(DomainError, match="CHARGE_CANCELLED"):
            await charging
        assert await desk.status("k") is Status.REFUNDED
        assert await desk.cancel("k") == (pb.PAYMENT_STATUS_REFUNDED, True)
        await desk.reconcile()


async def test_a_forgotten_card_is_still_charged_for_its_order(desk) -> None:
    card = await desk.card("tok_visa")
    await desk.call("DeletePaymentMethod", pb.DeletePaymentMethodRequest(id=card))
    assert (await desk.charge("k", card)).status == CAPTURED


async def test_a_card_of_somebody_else_is_not_charged(desk) -> None:
    card = await desk.card("tok_visa", "U-2")
    with pytest.raises(DomainError, match="PAYMENT_DECLINED"):
        await desk.charge("k", card)


async def test_the_wallet_pays_until_it_is_empty(desk) -> None:
    await desk.top_up("t", 1_500)
    assert (await desk.charge("k1", None)).status == CAPTURED
    for _ in range(2):
        with pytest.raises(DomainError, match="PAYMENT_DECLINED") as refused:
            await desk.charge("k2", None)
        assert refused.value.details[0].reason == "insufficient_funds"
    assert await desk.balance() == 500
    assert await desk.cancel("k1") == (pb.PAYMENT_STATUS_REFUNDED, True)
    assert await desk.balance() == 1_500


async def test_a_wallet_in_another_currency_does_not_pay(desk) -> None:
    await desk.top_up("t", 1_500)
    with pytest.raises(DomainError) as refused:
        await desk.charge("k", None, currency="USD")
    assert refused.value.details[0].reason == "currency_mismatch"


async def test_concurrent_buyers_never_overdraw_a_wallet(desk) -> None:
    await desk.top_up("t", 5_000)
    tries = [desk.charge(f"k{number}", None, order=f"O-{number}") for number in range(20)]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(not isinstance(answer, Exception) for answer in answers) == 5
    assert await desk.balance() == 0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": 0}, "amount"),
        ({"amount": 2**53}, "amount"),
        ({"currency": "eur"}, "currency"),
        ({"order": ""}, "order_id"),
    ],
)
async def test_a_wrong_charge_is_refused(desk, change, field) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await desk.charge("k", None, **change)
    assert [violation.field for violation in refused.value.violations] == [field]
