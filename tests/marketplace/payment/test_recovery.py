"""Payment crashes at every point, starts again, and everything adds up."""

import asyncio
from collections.abc import Awaitable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from shop.payment.v1 import payment_pb2 as pb

from marketplace.payment.domain import Status
from marketplace.payment.ports import ProviderAnswer, ProviderSilent, ProviderUnavailable, Verdict
from marketplace.payment.use_cases.record_outcome import record_answer
from souk.faults import INERT, Faults
from souk.kernel.errors import DomainError
from souk.testing.service_host import AbortedError

CHARGE_POINTS = ["payment.charge.intent-recorded", "payment.charge.provider-answered", "payment.charge.recorded"]
REFUND_POINTS = ["payment.refund.promised", "payment.refund.provider-answered"]


class Crash(BaseException):
    """Stands for the death of the process: no handler catches it."""


def _die() -> None:
    raise Crash


def _faults(point: str) -> Faults:
    return Faults({point: 0}, strike=_die)


class Moody:
    """A provider that may be away, or lose its answer after it has done what it was asked."""

    def __init__(self, provider) -> None:
        self.provider = provider
        self.mood = ""
        self.charges = 0

    def __getattr__(self, name):
        return getattr(self.provider, name)

    async def charge(self, *arguments):
        self.charges += 1
        return await self._do("charge", *arguments)

    async def find(self, *arguments):
        return await self._do("find", *arguments)

    async def void(self, *arguments):
        return await self._do("void", *arguments)

    async def refund(self, *arguments):
        return await self._do("refund", *arguments)

    async def _do(self, method, *arguments):
        if self.mood == "away":
            raise ProviderUnavailable("away")
        if self.mood == "silent before":
            raise ProviderSilent("silent")
        answer = await getattr(self.provider, method)(*arguments)
        if self.mood == "silent":
            raise ProviderSilent("silent")
        return answer


@pytest.fixture
def start(till, tmp_path: Path, clock):
    """Runs Payment on the same files; leaving the block ends it."""

    @asynccontextmanager
    async def start(point: str = "", moody: list | None = None):
        def wrap(provider):
            if moody is None:
                return provider
            moody.append(Moody(provider))
            return moody[0]

        async with till(tmp_path, clock, _faults(point) if point else INERT, wrap) as desk:
            yield desk

    return start


async def _crash(call: Awaitable) -> None:
    with pytest.raises(Crash):
        await call


@pytest.mark.parametrize("point", CHARGE_POINTS)
async def test_a_charge_that_crashed_is_charged_once_when_it_is_asked_again(start, point) -> None:
    async with start(point) as desk:
        await _crash(desk.charge("k", await desk.card("tok_visa")))
    async with start() as desk:
        card = (await desk.rows("SELECT id FROM cards"))[0]["id"]
        assert (await desk.charge("k", card)).status == pb.PAYMENT_STATUS_CAPTURED
        assert await desk.bank.taken("EUR") == 1_000
        await desk.reconcile()


@pytest.mark.parametrize("point", CHARGE_POINTS)
async def test_a_charge_that_crashed_leaves_no_trace_of_money_when_it_is_cancelled(start, point) -> None:
    async with start(point) as desk:
        await _crash(desk.charge("k", await desk.card("tok_visa")))
    async with start() as desk:
        status, settled = await desk.cancel("k")
        assert settled
        assert status in (pb.PAYMENT_STATUS_VOIDED, pb.PAYMENT_STATUS_REFUNDED)
        assert await desk.bank.taken("EUR") == 0
        await desk.reconcile()


@pytest.mark.parametrize("point", CHARGE_POINTS[1:])
async def test_a_charge_that_crashed_is_found_by_recovery(start, point) -> None:
    async with start(point) as desk:
        await _crash(desk.charge("k", await desk.card("tok_visa")))
    async with start() as desk:
        await desk.recover(11)
        assert await desk.status("k") is Status.CAPTURED
        await desk.reconcile()


@pytest.mark.parametrize("charge_point", CHARGE_POINTS)
@pytest.mark.parametrize(
    "point", ["payment.cancel.recorded", "payment.settle.provider-answered", "payment.refund.provider-answered"]
)
async def test_a_cancel_that_crashed_is_finished_by_recovery(start, charge_point, point) -> None:
    async with start(charge_point) as desk:
        await _crash(desk.charge("k", await desk.card("tok_visa")))
    async with start(point) as desk:
        with suppress(Crash):
            await desk.cancel("k")
    async with start() as desk:
        await desk.recover()
        assert (await desk.cancel("k"))[1]
        assert await desk.bank.taken("EUR") == 0
        assert await desk.events() == []
        await desk.reconcile()


@pytest.mark.parametrize("point", REFUND_POINTS)
@pytest.mark.parametrize("how", ["again", "recovery"])
async def test_a_refund_that_crashed_is_made_once(start, point, how) -> None:
    async with start(point) as desk:
        payment_id = (await desk.charge("k", await desk.card("tok_visa"))).payment_id
        await _crash(desk.refund(payment_id, 400, "r"))
    async with start() as desk:
        if how == "again":
            await desk.refund(payment_id, 400, "r")
        else:
            await desk.recover()
        assert (await desk.payment(payment_id)).refunded == 400
        assert [event.refunded_total for event in await desk.events()] == [400]
        await desk.reconcile()


@pytest.mark.parametrize("point", ["payment.top-up.intent-recorded", *CHARGE_POINTS[1:]])
@pytest.mark.parametrize("how", ["again", "recovery", "never"])
async def test_a_top_up_that_crashed_is_made_once_or_not_at_all(start, point, how) -> None:
    async with start(point) as desk:
        await _crash(desk.top_up("t", 700))
    async with start() as desk:
        if how == "again":
            assert await desk.top_up("t", 700) == 700
        else:
            await desk.recover(25 * 3_600 if how == "never" else 60)
        taken = await desk.bank.taken("EUR")
        await desk.reconcile()
        assert await desk.balance() == taken
        if how == "never" and taken == 0:
            assert await desk.top_up("t", 700) == 700, "a key that was given up may still be used"
            await desk.reconcile()


async def test_a_top_up_that_was_asked_for_twice_and_never_reached_the_provider_comes_to_an_end(start) -> None:
    moody: list[Moody] = []
    async with start(moody=moody) as desk:
        moody[0].mood = "silent before"
        for _ in range(2):  # the second asks for what may be under way, so no failure proves anything any more
            with pytest.raises(DomainError, match="REQUEST_IN_PROGRESS"):
                await desk.top_up("t", 700)
        moody[0].mood = ""
        await desk.recover(61)
        (found,) = await desk.rows("SELECT status, next_try_at FROM payments WHERE purpose = 'top-up'")
        assert (found["status"], found["next_try_at"]) == (Status.VOIDED.value, None)
        assert await desk.top_up("t", 700) == 700, "the key may still be used"
        assert await desk.bank.taken("EUR") == 700
        await desk.reconcile()


async def test_an_unknown_outcome_is_no_refusal_and_is_never_charged_twice(start) -> None:
    moody: list[Moody] = []
    async with start(moody=moody) as desk:
        card = await desk.card("tok_visa")
        moody[0].mood = "silent"
        with pytest.raises(AbortedError):
            await desk.charge("k", card)
        moody[0].mood = "away"
        with pytest.raises(AbortedError):
            await desk.charge("k", card)
        moody[0].mood = ""
        assert (await desk.charge("k", card)).status == pb.PAYMENT_STATUS_CAPTURED
        assert await desk.bank.taken("EUR") == 1_000
        await desk.reconcile()


async def test_a_charge_whose_answer_was_lost_is_asked_for_before_it_is_tried_again(start) -> None:
    moody: list[Moody] = []
    async with start(moody=moody) as desk:
        card = await desk.card("tok_visa")
        moody[0].mood = "silent"
        with pytest.raises(AbortedError):
            await desk.charge("k", card)
        moody[0].mood = ""
        assert (await desk.charge("k", card)).status == pb.PAYMENT_STATUS_CAPTURED
        assert moody[0].charges == 1


async def test_a_provider_that_is_away_from_the_first_try_refuses(start) -> None:
    moody: list[Moody] = []
    async with start(moody=moody) as desk:
        card = await desk.card("tok_visa")
        moody[0].mood = "away"
        with pytest.raises(DomainError, match="PAYMENT_UNAVAILABLE"):
            await desk.charge("k", card)
        moody[0].mood = ""
        assert (await desk.charge("k", card)).status == pb.PAYMENT_STATUS_CAPTURED
        await desk.reconcile()


@pytest.mark.parametrize("mood", ["away", "silent"])
async def test_a_cancel_is_durable_while_the_provider_is_in_the_way(start, mood) -> None:
    moody: list[Moody] = []
    async with start(moody=moody) as desk:
        card = await desk.card("tok_visa")
        await desk.charge("k", card)
        moody[0].mood = mood
        assert await desk.cancel("k") == (pb.PAYMENT_STATUS_CAPTURED, False)
        await desk.recover(60)
    async with start() as desk:
        await desk.recover()
        assert await desk.cancel("k") == (pb.PAYMENT_STATUS_REFUNDED, True)
        assert await desk.bank.taken("EUR") == 0
        await desk.reconcile()


@pytest.mark.parametrize("mood", ["away", "silent"])
async def test_a_refund_is_promised_while_the_provider_is_in_the_way(start, mood) -> None:
    moody: list[Moody] = []
    async with start(moody=moody) as desk:
        payment_id = (await desk.charge("k", await desk.card("tok_visa"))).payment_id
        moody[0].mood = mood
        with pytest.raises(DomainError, match="REQUEST_IN_PROGRESS"):
            await desk.refund(payment_id, 400, "r")
        with pytest.raises(AbortedError, match="DEADLINE_EXCEEDED"):
            await desk.refund_rest(payment_id, "O-1:1:refund")
        assert (await desk.payment(payment_id)).refunded == 0
        moody[0].mood = ""
        assert (await desk.refund_rest(payment_id, "O-1:1:refund")).status == pb.PAYMENT_STATUS_REFUNDED
        assert (await desk.refund(payment_id, 400, "r")).refunded == 1_000
        assert sorted(event.amount for event in await desk.events()) == [400, 600]
        await desk.reconcile()


async def test_a_late_success_of_another_replica_is_given_back(start) -> None:
    """One replica hears that nothing was charged and says so; the other one's try then succeeds."""
    moody: list[Moody] = []
    async with start(moody=moody) as desk:
        card = await desk.card("tok_visa")
        moody[0].mood = "away"
        with pytest.raises(DomainError, match="PAYMENT_UNAVAILABLE"):
            await desk.charge("k", card)
        moody[0].mood = ""
        payment = await desk.deps.database.run(lambda tx: desk.deps.payments.find_by_key(tx, "k"))
        await desk.bank.charge(payment.id, "tok_visa", 1_000, "EUR")
        answer = ProviderAnswer(Verdict.CHARGED)
        await desk.deps.database.run(lambda tx: record_answer(desk.deps, tx, payment, answer))
        await desk.recover(11)
        assert await desk.status("k") is Status.REFUNDED
        await desk.reconcile()


async def test_one_provider_charge_for_concurrent_calls(start) -> None:
    moody: list[Moody] = []
    async with start(moody=moody) as desk:
        card = await desk.card("tok_visa")
        await asyncio.gather(*(desk.charge("k", card) for _ in range(20)))
        assert moody[0].charges == 1


async def test_a_pending_charge_without_its_card_is_cancelled(start) -> None:
    async with start(CHARGE_POINTS[0]) as desk:
        await _crash(desk.charge("k", await desk.card("tok_visa")))
    async with start() as desk:
        card = (await desk.rows("SELECT id FROM cards"))[0]["id"]
        await desk.deps.database.run(lambda tx: desk.deps.cards.erase(tx, "U-1"))
        with pytest.raises(DomainError, match="CHARGE_CANCELLED"):
            await desk.charge("k", card)
        await desk.recover()
        assert await desk.status("k") is Status.VOIDED
        await desk.reconcile()
