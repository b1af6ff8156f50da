"""The provider's record against the book: what differs is found, counted, and made good; what is under way is not."""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from shop.payment.v1 import payment_pb2 as pb

from marketplace.payment.adapters.sandbox.bank import SandboxBank
from marketplace.payment.domain import Status
from marketplace.payment.ports import ProviderSilent
from marketplace.payment.service import service
from marketplace.payment.use_cases.reconcile_provider import (
    AGE,
    SWEEP,
    Difference,
    ReconcileProvider,
    reconcile_provider,
)
from souk.kernel.clock import MICROSECONDS
from souk.testing.clocks import FakeClock
from souk.testing.service_host import service_host

MINUTE = 60.0


class Reconciling:
    """A desk whose record is compared on demand."""

    def __init__(self, desk: Any, *, report_only: bool = False) -> None:
        self.desk = desk
        self.found: Counter[Difference] = Counter()
        count = lambda difference: self.found.update([difference])  # noqa: E731
        self.command = ReconcileProvider(count, interval=1, report_only=report_only)

    async def check(self, seconds: float = 3 * MINUTE) -> dict[Difference, int]:
        self.desk.clock.advance(seconds)
        await reconcile_provider(self.desk.deps, self.command)
        return dict(self.found)

    @property
    def still_open(self) -> dict[Difference, int]:
        return {Difference(kind): count for kind, count in self.command.memory.open_differences.items()}


@pytest.fixture(params=["sqlite"])  # whose clock the test moves; the statements run on both in test_both_engines
def url(request: pytest.FixtureRequest) -> str | None:
    return None


@pytest.fixture
def compared(desk: Any) -> Reconciling:
    return Reconciling(desk)


async def test_a_book_that_agrees_has_no_difference(compared: Reconciling) -> None:
    desk = compared.desk
    card = await desk.card("tok_visa")
    first = (await desk.charge("k0", card)).payment_id
    for n in range(1, 120):
        await desk.charge(f"k{n}", card)
    await desk.refund(first, 300, "r")
    await desk.top_up("t", 700)
    await desk.charge("w", None, 500)
    await desk.cancel("k1")
    await desk.cancel("never")
    for _ in range(3):
        assert await compared.check() == {}
    assert await compared.check(SWEEP / MICROSECONDS + 1) == {}


async def test_a_charge_without_a_payment_is_given_back_and_counted_once(compared: Reconciling) -> None:
    desk = compared.desk
    await desk.charge("k", await desk.card("tok_visa"))
    await desk.bank.charge("PAY-lost", "tok_visa", 900, "EUR")
    await desk.bank.charge("PAY-lost/2", "tok_visa", 50, "USD")
    assert await compared.check() == {Difference.UNKNOWN: 2}
    assert (await desk.bank.taken("EUR"), await desk.bank.taken("USD")) == (1_000, 0)
    assert compared.still_open == {}
    await compared.check()
    assert await compared.check(SWEEP / MICROSECONDS + 1) == {Difference.UNKNOWN: 2}


async def test_only_reporting_gives_nothing_back(desk: Any) -> None:
    await desk.bank.charge("PAY-of-another", "tok_visa", 900, "EUR")
    reporting, later = Reconciling(desk, report_only=True), Reconciling(desk, report_only=True)
    assert await reporting.check() == {Difference.UNKNOWN: 1}
    assert await reporting.check(SWEEP / MICROSECONDS + 1) == {Difference.UNKNOWN: 1}
    assert await later.check(SWEEP / MICROSECONDS + 1) == {}, "another process counts it no more"
    assert later.still_open == {Difference.UNKNOWN: 1}
    assert await desk.bank.taken("EUR") == 900
    await desk.bank.refund("r", "PAY-of-another", 900)


@pytest.mark.parametrize("status", [Status.VOIDED, Status.DECLINED])
async def test_a_charge_that_the_book_calls_void_is_given_back(compared: Reconciling, status: Status) -> None:
    desk = compared.desk
    payment = (await desk.charge("k", await desk.card("tok_visa"))).payment_id
    await desk.deps.database.run(lambda tx: tx.execute("DELETE FROM postings"))
    await desk.deps.database.run(
        lambda tx: tx.execute("UPDATE payments SET status = $2 WHERE id = $1", payment, status.value)
    )
    assert await compared.check() == {Difference.VOID: 1}
    assert await desk.bank.taken("EUR") == 0
    assert await desk.status("k") is (Status.REFUNDED if status is Status.VOIDED else Status.DECLINED)


async def test_what_is_under_way_is_left_alone_and_what_is_left_is_recorded(compared: Reconciling) -> None:
    desk = compared.desk
    payment = (await desk.charge("k", await desk.card("tok_visa"))).payment_id
    await desk.deps.database.run(lambda tx: tx.execute("DELETE FROM postings"))
    await desk.deps.database.run(lambda tx: tx.execute("UPDATE payments SET status = 'PENDING' WHERE id = $1", payment))
    await desk.bank.charge("PAY-lost", "tok_visa", 900, "EUR")
    assert await compared.check(AGE / MICROSECONDS / 2) == {}
    assert await desk.status("k") is Status.PENDING
    assert await compared.check(AGE / MICROSECONDS) == {Difference.UNDECIDED: 1, Difference.UNKNOWN: 1}
    assert await desk.status("k") is Status.CAPTURED


async def test_what_cannot_be_made_good_is_counted(compared: Reconciling) -> None:
    desk = compared.desk
    card = await desk.card("tok_visa")
    for key in ("amount", "more", "less", "missing"):
        await desk.charge(key, card)
    ids = {row["key"]: row["id"] for row in await desk.rows("SELECT key, id FROM payments")}
    bank = desk.bank._database
    await desk.refund(ids["less"], 300, "r")
    await bank.run(lambda tx: tx.execute("UPDATE charges SET amount = 1001 WHERE key = $1", ids["amount"]))
    await bank.run(lambda tx: tx.execute("UPDATE charges SET refunded = 5 WHERE key = $1", ids["more"]))
    await bank.run(lambda tx: tx.execute("UPDATE charges SET refunded = 0 WHERE key = $1", ids["less"]))
    await bank.run(lambda tx: tx.execute("DELETE FROM charges WHERE key = $1", ids["missing"]))
    found = await compared.check()
    assert found == {Difference.AMOUNT: 1, Difference.REFUNDED: 2, Difference.MISSING: 1}
    assert compared.still_open == found
    for seconds in (MINUTE, SWEEP / MICROSECONDS + 1, SWEEP / MICROSECONDS + 1):
        assert await compared.check(seconds) == found, "each was counted when it was found"
    assert compared.still_open == found
    for column, key in (("amount = 1000", "amount"), ("refunded = 0", "more"), ("refunded = 300", "less")):
        await bank.run(lambda tx, s=f"UPDATE charges SET {column} WHERE key = $1", k=ids[key]: tx.execute(s, k))
    await desk.bank.charge(ids["missing"], "tok_visa", 1_000, "EUR")
    assert await compared.check(MINUTE) == found
    assert Difference.MISSING not in compared.still_open
    assert await compared.check(SWEEP / MICROSECONDS + 1) == found
    assert compared.still_open == {}


async def test_a_charge_that_is_lost_without_a_trace_is_given_back(compared: Reconciling) -> None:
    """The client's rule broken on purpose: the bank has booked, and this side calls it unsent."""
    desk = compared.desk
    card = await desk.card("tok_visa")
    await desk.charge("o", card)
    payment = await desk.deps.database.run(lambda tx: desk.deps.payments.find_by_key(tx, "o"))
    void = replace(payment, status=Status.VOIDED)
    await desk.deps.database.run(lambda tx: desk.deps.payments.update(tx, void))
    await desk.deps.database.run(lambda tx: tx.execute("DELETE FROM postings"))
    await desk.charge("o2", card)
    assert await compared.check() == {Difference.VOID: 1}
    assert await desk.bank.taken("EUR") == 1_000


async def test_one_of_the_replicas_looks_at_a_time(desk: Any) -> None:
    both = [Reconciling(desk), Reconciling(desk)]
    for one in both:
        one.command = replace(one.command, interval=60 * MICROSECONDS)
    await desk.bank.charge("PAY-lost", "tok_visa", 900, "EUR")
    await asyncio.gather(*(one.check() for one in both))
    assert sum((one.found for one in both), Counter()) == {Difference.UNKNOWN: 1}


async def test_both_engines_know_the_statements(till: Any, tmp_path: Any, postgres_url: str) -> None:
    async with till(tmp_path, FakeClock(), url=postgres_url) as desk:
        await desk.charge("k", await desk.card("tok_visa"))
        await desk.bank.charge("PAY-lost", "tok_visa", 900, "EUR")
        assert await Reconciling(desk).check() == {Difference.UNKNOWN: 1}
        await desk.reconcile()


async def test_the_service_does_it_and_shows_it_in_its_metrics(tmp_path: Any) -> None:
    async with service_host(service, tmp_path, settings={"reconcile_interval": "0.01"}) as host:
        parts = await service.build(host)
        bank = await SandboxBank.open(tmp_path, host.clock)
        await bank.charge("PAY-lost", "tok_visa", 900, "EUR")
        tasks = [asyncio.ensure_future(task()) for task in parts.tasks.values()]
        async with asyncio.timeout(120):
            while await bank.taken("EUR"):
                await asyncio.sleep(0.01)
        (counter, *_) = parts.collectors
        samples = {s.labels.get("kind"): s.value for s in next(iter(counter.collect())).samples if "total" in s.name}
        assert samples["unknown"] == 1
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await bank.close()


async def test_a_charge_stands_for_order_once_it_is_old_enough(compared: Reconciling) -> None:
    """Here, where the test moves the database's clock."""
    desk = compared.desk
    await desk.charge("k", await desk.card("tok_visa"))
    request = pb.ListOrderChargesRequest(min_age_seconds=600)
    desk.clock.advance(599)
    assert not (await desk.call("ListOrderCharges", request, "")).charges
    desk.clock.advance(1)
    (charge,) = (await desk.call("ListOrderCharges", request, "")).charges
    assert (charge.key, charge.order_id) == ("k", "O-1")


@pytest.mark.parametrize("key", ["PAY-lost/" + "9" * 5_000, "PAY-lost/x", "PAY-lost/\N{SUPERSCRIPT TWO}"])
async def test_a_charge_of_another_program_s_key_is_without_a_payment(compared: Reconciling, key: str) -> None:
    await compared.desk.bank.charge(key, "tok_visa", 900, "EUR")
    assert await compared.check() == {Difference.UNKNOWN: 1}


async def test_a_difference_is_counted_once_while_the_provider_refuses_its_correction(compared: Reconciling) -> None:
    desk = compared.desk
    await desk.bank.charge("PAY-lost", "tok_visa", 900, "EUR")
    refund = desk.bank.refund

    async def fails(*_: Any) -> Any:
        raise ProviderSilent("no answer")

    desk.bank.refund = fails
    for _ in range(3):
        assert await compared.check() == {Difference.UNKNOWN: 1}
    assert compared.still_open == {Difference.UNKNOWN: 1}
    desk.bank.refund = refund
    assert await compared.check() == {Difference.UNKNOWN: 1}
    assert compared.still_open == {}
