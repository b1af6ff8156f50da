"""Charges in Payment's book that no order stands behind are given back; those of an order never are."""

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from shop.order.v1 import order_pb2 as pb
from shop.payment.v1 import payment_pb2

from marketplace.order.service import build, service
from marketplace.order.settings import read_settings
from marketplace.order.use_cases.find_lost_charges import (
    AT_ONCE,
    MIN_AGE,
    MOST_UNKNOWN,
    WHOLE_BOOK,
    FindLostCharges,
    Loss,
    find_lost_charges,
)
from souk.kernel.context import current
from souk.kernel.errors import ConfigurationError, DomainError
from souk.testing.clocks import FakeClock
from souk.testing.service_host import service_host

Shop = Any


class Finding:
    """A shop whose charges are compared on demand."""

    def __init__(self, shop: Shop, *, report_only: bool = False) -> None:
        self.shop = shop
        self.clock = FakeClock()
        self.found: Counter[Loss] = Counter()
        count = lambda loss: self.found.update([loss])  # noqa: E731
        self.deps = replace(shop.deps, clock=self.clock)
        self.command = FindLostCharges(count, report_only=report_only)

    def book(self, order_id: str, attempt: int = 1) -> str:
        """A charge in Payment's book; answers its key."""
        key = f"{order_id}:{attempt}:charge-payment"
        self.shop.others.charged[key] = "captured"
        return key

    def state(self, key: str) -> str:
        return str(self.shop.others.charged[key])

    async def check(self) -> dict[Loss, int]:
        await find_lost_charges(self.deps, self.command)
        return dict(self.found)

    @property
    def still_open(self) -> dict[Loss, int]:
        return {Loss(kind): count for kind, count in self.command.progress.still_open.items()}


@pytest.fixture
def finding(shop: Shop) -> Finding:
    return Finding(shop)


async def placed(shop: Shop, key: str = "key-1") -> pb.Order:
    answer = await shop.place(key)
    assert isinstance(answer.reply, pb.Order), answer.reply
    return answer.reply


async def test_the_charge_of_an_order_stays_whatever_becomes_of_it(shop: Shop, finding: Finding) -> None:
    orders = [await placed(shop, f"key-{n}") for n in range(3)]
    assert await finding.check() == {}
    assert shop.others.count("cancel") == 0
    assert {finding.state(f"{order.id}:1:charge-payment") for order in orders} == {"captured"}


async def test_a_charge_without_an_order_is_given_back_and_counted(
    shop: Shop, finding: Finding, caplog: pytest.LogCaptureFixture
) -> None:
    await placed(shop)
    key = finding.book("ORD-GONE")
    assert await finding.check() == {Loss.UNKNOWN: 1}
    assert finding.state(key) == "undone"
    assert f"no order stands behind charge PAY-{key} of order ORD-GONE (unknown): it will be given back" in caplog.text
    assert await finding.check() == {Loss.UNKNOWN: 1}
    assert shop.others.count("cancel") == 1
    assert finding.still_open == {}


async def test_a_saga_under_way_keeps_its_charge(shop: Shop, finding: Finding) -> None:
    """It was charged, and the answer was lost: the order is still PENDING when the book is compared."""
    gate = shop.others.block["charge"] = asyncio.Event()
    placing = asyncio.create_task(shop.place())
    async with asyncio.timeout(30):
        while not shop.others.count("charge"):
            await asyncio.sleep(0)
    (charge,) = [key for name, key in shop.others.calls if name == "charge"]
    finding.book(charge.partition(":")[0])
    for _ in range(3):
        assert await finding.check() == {}
    gate.set()
    answer = await placing
    assert isinstance(answer.reply, pb.Order)
    assert answer.reply.payment_id == f"PAY-{charge}"
    assert await finding.check() == {}
    assert (finding.state(charge), shop.others.count("cancel")) == ("captured", 0)


async def test_the_charge_of_an_attempt_that_ended_without_it_is_given_back(
    shop: Shop, finding: Finding, refuse: Any
) -> None:
    shop.others.fail["charge"] = [refuse("payment", DomainError("PAYMENT_UNAVAILABLE", "bank"))]
    await shop.place()
    order = await placed(shop)
    first, later = finding.book(order.id, 1), finding.book(order.id, 3)
    assert await finding.check() == {Loss.ENDED: 1, Loss.UNKNOWN: 1}
    assert (finding.state(first), finding.state(later)) == ("undone", "undone")
    assert finding.state(f"{order.id}:2:charge-payment") == "captured"


async def test_the_charge_of_a_rejected_order_is_given_back(shop: Shop, finding: Finding, refuse: Any) -> None:
    shop.others.fail["charge"] = [refuse("payment", DomainError("PAYMENT_DECLINED", "no"))]
    await shop.place()
    (order_id,) = {key.partition(":")[0] for name, key in shop.others.calls if name == "reserve"}
    key = finding.book(order_id)
    assert await finding.check() == {Loss.ENDED: 1}
    assert finding.state(key) == "undone"


async def test_the_charge_of_a_cancelled_order_is_given_back(shop: Shop, finding: Finding) -> None:
    order = await placed(shop)
    await shop.cancel(order.id)
    async with asyncio.timeout(30):
        while (await shop.order(order.id)).status != pb.ORDER_STATUS_CANCELLED:
            await asyncio.sleep(0.01)
    key = finding.book(order.id)
    assert await finding.check() == {Loss.CANCELLED: 1}
    assert finding.state(key) == "undone"


async def test_many_unknown_orders_mean_that_orders_were_lost(
    shop: Shop, finding: Finding, refuse: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a restore of Order alone from an older backup: whose goods are on the way is not known here."""
    shop.others.fail["charge"] = [refuse("payment", DomainError("PAYMENT_DECLINED", "no"))]
    await shop.place()
    (order_id,) = {key.partition(":")[0] for name, key in shop.others.calls if name == "reserve"}
    ended = finding.book(order_id)
    unknown = [finding.book(f"ORD-{n:03}") for n in range(MOST_UNKNOWN + 1)]
    assert await finding.check() == {Loss.UNKNOWN: MOST_UNKNOWN + 1, Loss.ENDED: 1}
    assert {finding.state(key) for key in unknown} == {"captured"}
    assert finding.state(ended) == "undone"
    assert "are orders missing?" in caplog.text
    finding.clock.advance(WHOLE_BOOK)
    assert await finding.check() == {Loss.UNKNOWN: MOST_UNKNOWN + 1, Loss.ENDED: 1}, (
        "each was counted when it was found"
    )
    assert {finding.state(key) for key in unknown} == {"captured"}
    assert finding.still_open == {Loss.UNKNOWN: MOST_UNKNOWN + 1}
    shop.others.charged[unknown[0]] = "undone"
    other = Finding(shop)
    assert await other.check() == {}, "another process counts them no more"
    assert {finding.state(key) for key in unknown} == {"undone"}
    assert other.still_open == {}


async def test_the_whole_book_is_gone_through_once_a_day_and_what_is_new_between(shop: Shop, finding: Finding) -> None:
    await placed(shop)
    await finding.check()
    early = finding.book("ORD-000")  # its id sorts before what was seen
    late = finding.book("ORD-ZZZ")
    assert await finding.check() == {Loss.UNKNOWN: 1}
    assert (finding.state(early), finding.state(late)) == ("captured", "undone")
    finding.clock.advance(WHOLE_BOOK)
    assert await finding.check() == {Loss.UNKNOWN: 2}
    assert finding.state(early) == "undone"


async def test_while_payment_is_away_nothing_is_passed_over(shop: Shop, finding: Finding, lost_answer: Any) -> None:
    keys = [finding.book("ORD-1"), finding.book("ORD-2")]
    shop.others.fail["standing"] = [lost_answer()]
    assert await finding.check() == {}
    shop.others.fail["cancel"] = [lost_answer()]
    assert await finding.check() == {Loss.UNKNOWN: 1}
    assert finding.still_open == {Loss.UNKNOWN: 1}
    assert await finding.check() == {Loss.UNKNOWN: 2}
    assert {finding.state(key) for key in keys} == {"undone"}


async def test_all_pages_are_gone_through(shop: Shop) -> None:
    finding = Finding(shop, report_only=True)
    keys = [finding.book(f"ORD-{n:03}") for n in range(2 * AT_ONCE + 1)]
    assert await finding.check() == {Loss.UNKNOWN: len(keys)}
    assert {finding.state(key) for key in keys} == {"captured"}
    assert await finding.check() == {Loss.UNKNOWN: len(keys)}, "each was seen once"


def test_what_happens_to_them_can_be_set() -> None:
    assert not read_settings({}).lost_charges.report_only
    assert read_settings({"lost_charges": "report"}).lost_charges.report_only
    with pytest.raises(ConfigurationError, match="lost_charges must be refund or report"):
        read_settings({"lost_charges": "keep"})


class PaymentAtTheOtherEnd:
    """A channel to a Payment in whose book one charge stands until it is undone."""

    def __init__(self) -> None:
        self.charge = payment_pb2.OrderCharge(payment_id="PAY-1", key="ORD-GONE:1:charge-payment", order_id="ORD-GONE")
        self.undone: asyncio.Future[payment_pb2.CancelChargeRequest] = asyncio.get_running_loop().create_future()

    def unary_unary(self, path: str, **_: Any) -> Any:
        return {"ListOrderCharges": self.list, "CancelCharge": self.cancel}.get(path.rpartition("/")[2])

    async def list(self, request: payment_pb2.ListOrderChargesRequest) -> payment_pb2.ListOrderChargesResponse:
        assert (request.page_size, request.min_age_seconds) == (AT_ONCE, MIN_AGE)
        assert current().caller.service == "order"
        return payment_pb2.ListOrderChargesResponse(charges=[] if self.undone.done() else [self.charge])

    async def cancel(self, request: payment_pb2.CancelChargeRequest) -> payment_pb2.CancelChargeResponse:
        self.undone.set_result(request)
        return payment_pb2.CancelChargeResponse()


async def test_the_service_looks_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("marketplace.order.background.CHECK_EVERY", 0)
    payment = PaymentAtTheOtherEnd()
    async with service_host(service, tmp_path) as host:
        parts = await build(replace(host, channel=lambda name: cast(Any, payment)))
        task = asyncio.ensure_future(parts.tasks["find lost charges"]())
        async with asyncio.timeout(30):
            request = await payment.undone
            counted = 0.0
            while not counted:
                await asyncio.sleep(0)
                samples = [each for one in parts.collectors for metric in one.collect() for each in metric.samples]
                counted = sum(each.value for each in samples if each.labels.get("kind") == "unknown")
        task.cancel()
    assert (request.key, request.order_id) == (payment.charge.key, payment.charge.order_id)


async def test_a_key_with_an_endless_attempt_is_of_no_attempt(shop: Shop, finding: Finding) -> None:
    order = await placed(shop)
    key = f"{order.id}:{'9' * 5_000}:charge-payment"
    shop.others.charged[key] = "captured"
    assert await finding.check() == {Loss.UNKNOWN: 1}
