"""Two Payment services on one PostgreSQL database, before one bank: no charge is made twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from shop.payment.v1 import payment_pb2 as pb

from marketplace.payment.domain import Status
from marketplace.payment.use_cases.recover_payments import recover_payments
from souk.kernel.errors import DomainError
from souk.testing.clocks import FakeClock
from souk.testing.service_host import AbortedError

Till = Any
CAPTURED, REFUNDED = pb.PAYMENT_STATUS_CAPTURED, pb.PAYMENT_STATUS_REFUNDED


@pytest.fixture
async def replicas(till: Any, tmp_path: Path, clock: FakeClock, postgres_url: str) -> AsyncIterator[list[Till]]:
    async with AsyncExitStack() as stack:
        both = [await stack.enter_async_context(till(tmp_path, clock, url=postgres_url)) for _ in range(2)]
        yield both
        await both[0].reconcile()


async def reasons(*calls: Any) -> list[str]:
    """How each ended: "ok", or the reason of its refusal."""
    found = await asyncio.gather(*calls, return_exceptions=True)
    unexpected = [each for each in found if isinstance(each, BaseException) and not isinstance(each, DomainError)]
    assert not unexpected, unexpected
    return [each.reason if isinstance(each, DomainError) else "ok" for each in found]


async def charges_at_the_bank(till: Till) -> int:
    rows = await till.bank._database.read(lambda tx: tx.fetch("SELECT key FROM charges WHERE verdict = 'charged'"))
    return len(rows)


@pytest.mark.parametrize("token", ["tok_visa", "tok_timeout"])
async def test_one_key_is_one_charge(replicas: list[Till], token: str) -> None:
    card = await replicas[0].card(token)
    answers = await asyncio.gather(*(till.charge("k", card) for till in replicas * 10))
    assert {answer.status for answer in answers} == {CAPTURED}
    assert len({answer.payment_id for answer in answers}) == 1
    assert await charges_at_the_bank(replicas[0]) == 1
    assert await replicas[1].account("sales") == 1_000


async def test_one_key_is_one_refusal(replicas: list[Till]) -> None:
    card = await replicas[0].card("tok_declined")
    assert set(await reasons(*(till.charge("k", card) for till in replicas * 5))) == {"PAYMENT_DECLINED"}
    assert await replicas[0].bank.taken("EUR") == 0


async def test_one_key_is_one_refund(replicas: list[Till]) -> None:
    one, two = replicas
    payment = (await one.charge("k", await one.card("tok_visa"))).payment_id
    parts = await asyncio.gather(*(till.refund(payment, 300, "r") for till in replicas * 5))
    assert {part.refunded for part in parts} == {300}
    await asyncio.gather(*(till.refund_rest(payment, "rest") for till in replicas * 5))
    assert (await two.payment(payment)).refunded == 1_000
    assert len(await two.events()) == 2


async def test_refunds_with_different_keys_never_exceed_the_charge(replicas: list[Till]) -> None:
    one, _ = replicas
    payment = (await one.charge("k", await one.card("tok_visa"))).payment_id
    ended = await reasons(*(till.refund(payment, 300, f"r{n}") for n, till in enumerate(replicas * 5)))
    assert ended.count("ok") == 3
    assert (await one.payment(payment)).refunded == 900


async def test_charges_and_cancellations_at_once_end_as_one_of_them(replicas: list[Till]) -> None:
    one, two = replicas
    card = await one.card("tok_visa")
    for n in range(8):
        charging = (till.charge(f"k{n}", card) for till in (one, two))
        await asyncio.gather(*charging, two.cancel(f"k{n}"), one.cancel(f"k{n}"), return_exceptions=True)
        await asyncio.gather(one.cancel(f"k{n}"), two.cancel(f"k{n}"))
    await one.recover()
    statuses = {await one.status(f"k{n}") for n in range(8)}
    assert statuses <= {Status.BLOCKED, Status.VOIDED, Status.REFUNDED}
    assert await one.bank.taken("EUR") == 0


async def test_a_wallet_is_never_overdrawn(replicas: list[Till]) -> None:
    await replicas[0].top_up("t", 5_000)
    ended = await reasons(*(till.charge(f"k{n}", None, order=f"O-{n}") for n, till in enumerate(replicas * 10)))
    assert (ended.count("ok"), ended.count("PAYMENT_DECLINED")) == (5, 15)
    assert await replicas[1].balance() == 0


async def test_one_key_is_one_top_up(replicas: list[Till]) -> None:
    balances = await asyncio.gather(*(till.top_up("t", 700) for till in replicas * 5))
    assert set(balances) == {700}
    assert await replicas[0].bank.taken("EUR") == 700


async def test_what_one_left_is_ended_once_by_whoever_looks(replicas: list[Till], clock: FakeClock) -> None:
    one, two = replicas
    card = await one.card("tok_slow")
    for n in range(6):
        with pytest.raises(AbortedError):
            await one.charge(f"k{n}", card)
    clock.advance(3_600)
    await asyncio.gather(*(recover_payments(till.deps) for till in (two, one, two)))
    assert {await two.status(f"k{n}") for n in range(6)} == {Status.CAPTURED}
    assert await charges_at_the_bank(one) == 6


async def test_refunds_and_the_cancellation_of_a_charge_give_back_no_more_than_it(replicas: list[Till]) -> None:
    one, two = replicas
    for source in (await one.card("tok_visa"), None):
        if source is None:
            await one.top_up("t", 1_000)
        key = f"k {source}"
        payment = (await one.charge(key, source)).payment_id
        refunds = [till.refund(payment, 300, f"r{n} {source}") for n, till in enumerate(replicas * 3)]
        rest = [till.refund_rest(payment, f"rest {source}") for till in replicas]
        cancelling = [till.cancel(key) for till in replicas]
        await asyncio.gather(*refunds, *rest, *cancelling, return_exceptions=True)
        await asyncio.gather(*(till.cancel(key) for till in replicas))
        assert (await two.payment(payment)).refunded == 1_000
    await one.recover()
    assert await one.balance() == 1_000
    assert await one.bank.taken("EUR") == 1_000, "what was put into the wallet, and nothing of the card's order"


async def test_a_wallet_takes_one_currency_whoever_tops_it_up_at_once(replicas: list[Till]) -> None:
    calls = (till.top_up(f"t{n}", 100, currency=("EUR", "USD")[n % 2]) for n, till in enumerate(replicas * 4))
    ended = await reasons(*calls)
    assert ended.count("ok") == ended.count("CURRENCY_MISMATCH") == 4


async def test_orders_in_plenty_do_not_collide(replicas: list[Till]) -> None:
    card = await replicas[0].card("tok_visa")
    before = sum(till.deps.database.tries_again for till in replicas)
    for start in range(0, 60, 20):
        keys = range(start, start + 20)
        await asyncio.gather(
            *(replicas[n % 2].charge(f"k{n}", card, order=f"O-{n}") for n in keys), recover_both(replicas)
        )
    assert sum(till.deps.database.tries_again for till in replicas) == before


async def recover_both(replicas: list[Till]) -> None:
    await asyncio.gather(*(recover_payments(till.deps) for till in replicas))


async def test_cards_saved_at_two_replicas_stay_below_the_cap(replicas: list[Till]) -> None:
    for _ in range(18):
        await replicas[0].card("tok_visa")
    found = await reasons(*(till.card("tok_visa") for till in replicas * 3))
    assert sorted(found) == ["TOO_MANY_CARDS"] * 4 + ["ok"] * 2
