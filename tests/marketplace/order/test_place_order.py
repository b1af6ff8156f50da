"""Placing an order: one key, one order, one outcome."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from shop.inventory.v1 import inventory_pb2
from shop.order.v1 import order_pb2 as pb

from marketplace.order.events import Item
from marketplace.order.saga.attempt import RESERVATION
from marketplace.order.settings import LONGEST_DEADLINE, read_settings
from souk.descriptors.request_check import require_within_limits
from souk.kernel.clock import MICROSECONDS
from souk.kernel.errors import ConfigurationError, DomainError, InvalidArgument
from souk.rpc.call import not_sent
from souk.saga.definition import SagaRef
from souk.saga.runner import SagaOutcome, SagaProgress, SagaRunner

Answer = Shop = Any


def confirmed(answer: Answer) -> pb.Order:
    assert isinstance(answer.reply, pb.Order), answer.reply
    assert answer.reply.status == pb.ORDER_STATUS_CONFIRMED
    return answer.reply


def reason_of(answer: Answer) -> str:
    assert isinstance(answer.reply, DomainError), answer.reply
    return answer.reply.reason


async def ended(shop: Shop, order_id: str, attempt: int = 1) -> None:
    progress = await shop.runner.wait_ended(SagaRef("place-order", order_id, attempt), shop.host.clock.monotonic() + 30)
    assert progress.ended


async def test_a_confirmed_order_is_paid_promised_and_told(shop: Shop) -> None:
    order = confirmed(await shop.place())
    assert (order.total, order.currency, order.payment_id) == (2400, "EUR", f"PAY-{order.id}:1:charge-payment")
    await ended(shop, order.id)
    assert list(shop.others.reserved.values()) == ["sold"]
    assert await shop.events() == ["OrderConfirmed"]
    assert (await shop.order(order.id)).status == pb.ORDER_STATUS_CONFIRMED


async def test_the_same_key_is_the_same_answer_even_after_the_price_changed(shop: Shop) -> None:
    first = await shop.place()
    await ended(shop, confirmed(first).id)
    shop.others.price = 9
    second = await shop.place()
    assert (second.reply, second.replayed) == (first.reply, True)
    assert shop.others.count("charge") == 1


async def test_the_same_key_for_another_request_is_refused(shop: Shop) -> None:
    await shop.place()
    with pytest.raises(DomainError) as refused:
        await shop.place(fingerprint="other")
    assert refused.value.reason == "IDEMPOTENCY_KEY_REUSED"


async def test_fifty_at_once_with_one_key_are_one_order(shop: Shop) -> None:
    answers = await asyncio.gather(*(shop.place() for _ in range(50)))
    assert len({confirmed(answer).id for answer in answers}) == 1
    assert shop.others.count("charge") == shop.others.count("reserve") == 1


async def test_a_hundred_requests_wait_for_a_key_and_one_more_is_told_that_it_is_in_progress(shop: Shop) -> None:
    shop.others.block["prices"] = asyncio.Event()
    tasks = [asyncio.create_task(shop.place()) for _ in range(100)]
    while shop.others.count("prices") < 100:
        await asyncio.sleep(0)
    with pytest.raises(DomainError) as refused:
        await asyncio.wait_for(shop.place(), 60)  # a request that waits too would wait for ever
    assert refused.value.reason == "REQUEST_IN_PROGRESS"
    shop.others.block.pop("prices").set()
    assert len({confirmed(answer).id for answer in await asyncio.gather(*tasks)}) == 1


async def test_out_of_stock_is_final_and_replayed(shop: Shop, refuse: Any) -> None:
    short = inventory_pb2.StockShortage(items=[inventory_pb2.Stock(product_id="P-1", available=1)])
    shop.others.fail["reserve"] = [refuse("inventory", DomainError("OUT_OF_STOCK", "short", short))]
    first = await shop.place()
    assert reason_of(first) == "OUT_OF_STOCK"
    (detail,) = first.reply.details  # type: ignore[union-attr]
    assert detail == pb.StockShortage(items=[pb.AvailableStock(product_id="P-1", available=1)])
    second = await shop.place()
    assert (reason_of(second), second.replayed) == ("OUT_OF_STOCK", True)
    assert second.reply.details == first.reply.details  # type: ignore[union-attr]
    assert shop.others.count("reserve") == 1
    assert await shop.events() == ["OrderRejected"]


async def test_a_declined_charge_puts_the_stock_back_before_it_is_answered(shop: Shop, refuse: Any) -> None:
    shop.others.fail["charge"] = [refuse("payment", DomainError("PAYMENT_DECLINED", "no"))]
    assert reason_of(await shop.place()) == "PAYMENT_DECLINED"
    assert list(shop.others.reserved.values()) == ["released"]
    assert shop.others.count("cancel") == 0, "a refused charge needs no undo"


async def test_a_provider_error_is_not_final_and_the_same_key_tries_again(shop: Shop, refuse: Any) -> None:
    shop.others.fail["charge"] = [refuse("payment", DomainError("PAYMENT_UNAVAILABLE", "bank"))]
    assert reason_of(await shop.place()) == "PAYMENT_UNAVAILABLE"
    assert await shop.events() == []
    order = confirmed(await shop.place())
    assert sorted(shop.others.reserved) == [f"{order.id}:{n}:reserve-stock" for n in (1, 2)]
    await ended(shop, order.id, attempt=2)
    assert list(shop.others.reserved.values()) == ["released", "sold"]


async def test_a_service_that_is_not_reached_is_unavailable_and_nothing_stays(shop: Shop) -> None:
    shop.others.fail["charge"] = [not_sent("breaker open")]
    answer = await shop.place()
    assert reason_of(answer) == "PAYMENT_UNAVAILABLE"
    assert list(shop.others.reserved.values()) == ["released"]


async def test_an_unknown_charge_is_asked_again_under_the_same_key(shop: Shop, lost_answer: Any) -> None:
    shop.others.fail["charge"] = [lost_answer(), lost_answer()]
    order = confirmed(await shop.place())
    assert {key for name, key in shop.others.calls if name == "charge"} == {f"{order.id}:1:charge-payment"}
    assert shop.others.count("charge") == 3


async def test_a_charge_that_stays_unknown_is_undone_while_a_retry_has_to_wait(shop: Shop, lost_answer: Any) -> None:
    shop.others.fail["charge"] = [lost_answer() for _ in range(1_000)]
    shop.others.block["cancel"] = asyncio.Event()
    pending = await shop.place(seconds=1.0)
    assert isinstance(pending.reply, pb.Order)
    assert pending.reply.status == pb.ORDER_STATUS_PENDING
    ref = SagaRef("place-order", pending.reply.id, 1)
    await shop.runner.wait(ref, shop.host.clock.monotonic() + 10)
    with pytest.raises(DomainError) as closing:
        await shop.place()
    assert (closing.value.reason, closing.value.retry_after) == ("ATTEMPT_CLOSING", 1.0)
    assert list(shop.others.reserved.values()) == ["released"], "a blocked undo of the charge delays no stock"
    shop.others.fail.clear()
    shop.others.block.pop("cancel").set()
    await ended(shop, pending.reply.id)
    assert confirmed(await shop.place()).id == pending.reply.id


async def test_a_changed_price_is_remembered_without_an_order(shop: Shop) -> None:
    shop.others.price = 1300
    with pytest.raises(DomainError) as refused:
        await shop.place()
    assert refused.value.reason == "PRICE_CHANGED"
    assert refused.value.details == (pb.PriceChange(items=[pb.CurrentPrice(product_id="P-1", price=1300)]),)
    shop.others.price = 1200
    second = await shop.place()
    assert (reason_of(second), second.replayed) == ("PRICE_CHANGED", True)
    assert (await shop.read.page("U-1", pb.ListOrdersRequest())).orders == []


async def test_a_changed_price_ends_a_retryable_order(shop: Shop) -> None:
    shop.others.fail["charge"] = [not_sent("away")]
    await shop.place()
    shop.others.price = 1300
    with pytest.raises(DomainError, match="PRICE_CHANGED"):
        await shop.place()
    assert reason_of(await shop.place()) == "PRICE_CHANGED"
    (order,) = (await shop.read.page("U-1", pb.ListOrdersRequest())).orders
    assert (order.reason, order.retryable) == ("PRICE_CHANGED", False)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"items": (Item("X-1", 1, 1200),)}, "PRODUCT_NOT_FOUND"),
        ({"shipping_address_id": "ADDR-2"}, "ADDRESS_NOT_FOUND"),
        ({"payment_method": "PM-x"}, "PAYMENT_METHOD_NOT_FOUND"),
    ],
)
async def test_what_is_unknown_leaves_the_key_unused(shop: Shop, change: dict[str, Any], reason: str) -> None:
    with pytest.raises(DomainError) as refused:
        await shop.place(**change)
    assert refused.value.reason == reason
    confirmed(await shop.place(fingerprint="another request"))


@pytest.mark.parametrize(("service", "call"), [("product", "prices"), ("user", "address"), ("payment", "resolve")])
async def test_a_check_that_cannot_be_made_leaves_the_key_unused(shop: Shop, service: str, call: str) -> None:
    shop.others.fail[call] = [not_sent("away")]
    with pytest.raises(DomainError) as refused:
        await shop.place()
    assert refused.value.reason == f"{service.upper()}_UNAVAILABLE"
    confirmed(await shop.place(fingerprint="another request"))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"items": (Item("P-1", 1, 1), Item("P-1", 1, 1))}, "items[0].product_id"),
        ({"items": (Item("P-1", 1000, 2**53 - 1),)}, "items"),
        ({"key": ""}, "idempotency_key"),
        ({"key": "k" * 256}, "idempotency_key"),
        ({"key": "schlüssel"}, "idempotency_key"),
    ],
)
async def test_what_no_limit_of_the_contract_says_is_named(shop: Shop, change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await shop.place(**change)
    assert field in [violation.field for violation in refused.value.violations]
    assert shop.others.calls == []


LINE = {"product_id": "P-1", "quantity": 1, "price": 1}


@pytest.mark.parametrize(
    ("change", "field", "detail"),
    [
        ({"items": []}, "items", "must hold 1 to 100 items"),
        ({"items": [LINE] * 101}, "items", "must hold 1 to 100 items"),
        ({"items": [{**LINE, "product_id": ""}]}, "items[0].product_id", "must be 1 to 40 printable ASCII characters"),
        ({"items": [{**LINE, "quantity": 0}]}, "items[0].quantity", "must be 1 to 1000"),
        ({"items": [{**LINE, "quantity": 1001}]}, "items[0].quantity", "must be 1 to 1000"),
        ({"items": [{**LINE, "price": -1}]}, "items[0].price", "must be 0 to 9007199254740991"),
        ({"shipping_address_id": ""}, "shipping_address_id", "must be one visible line of 1 to 64 characters"),
        ({"payment_method": ""}, "payment_method", "must be one visible line of 1 to 64 characters"),
        ({"idempotency_key": ""}, "idempotency_key", "must be 1 to 255 printable ASCII characters"),
        ({"idempotency_key": "k" * 256}, "idempotency_key", "must be 1 to 255 printable ASCII characters"),
        ({"idempotency_key": "schlüssel"}, "idempotency_key", "must be 1 to 255 printable ASCII characters"),
    ],
)
def test_what_the_contract_limits_is_named(change: dict[str, Any], field: str, detail: str) -> None:
    fields = {"items": [LINE], "shipping_address_id": "A", "payment_method": "card", "idempotency_key": "k", **change}
    with pytest.raises(InvalidArgument) as refused:
        require_within_limits(pb.PlaceOrderRequest(**fields))
    assert [(violation.field, violation.detail) for violation in refused.value.violations] == [(field, detail)]


async def test_mixed_currencies_are_refused(shop: Shop) -> None:
    shop.others.currencies["P-2"] = "USD"
    with pytest.raises(InvalidArgument):
        await shop.place(items=(Item("P-1", 1, 1200), Item("P-2", 1, 1200)))


async def test_an_order_for_nothing_is_not_charged(shop: Shop) -> None:
    shop.others.price = 0
    order = confirmed(await shop.place(items=(Item("P-1", 1, 0),)))
    assert not order.HasField("payment_id")
    assert shop.others.count("charge") == 0


async def test_a_client_that_goes_away_changes_nothing(shop: Shop) -> None:
    shop.others.block["charge"] = asyncio.Event()
    request = asyncio.create_task(shop.place())
    while not shop.others.count("charge"):
        await asyncio.sleep(0)
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    shop.others.block.pop("charge").set()
    answer = await shop.place()
    assert confirmed(answer).total == 2400
    assert shop.others.count("charge") == 1


class Between:
    """A database that lets something happen after its first read of more than one statement."""

    def __init__(self, database: Any, meanwhile: Callable[[], Awaitable[object]]) -> None:
        self._database = database
        self._meanwhile: list[Callable[[], Awaitable[object]]] = [meanwhile]

    async def run(self, work: Any, *, guarded: bool = False, grouped: bool = False) -> Any:
        return await self._database.run(work, guarded=guarded, grouped=grouped)

    async def read(self, work: Any, *, single: bool = False) -> Any:
        found = await self._database.read(work, single=single)
        if self._meanwhile and not single:
            await self._meanwhile.pop()()
        return found


async def test_an_order_that_is_given_up_while_its_key_is_retried_is_not_tried_again(shop: Shop) -> None:
    shop.others.fail["charge"] = [not_sent("away")]
    await shop.place()
    (order,) = (await shop.read.page("U-1", pb.ListOrdersRequest())).orders
    shop.placing = replace(shop.deps, database=Between(shop.host.database, lambda: shop.cancel(order.id)))
    answer = await shop.place()
    assert (reason_of(answer), answer.replayed) == ("ORDER_CANCELLED", True)
    assert shop.others.count("charge") == 1


class Impatient:
    """A runner whose waiting is over just before the outcome is there."""

    def __init__(self, runner: SagaRunner) -> None:
        self.start, self.open, self.progress = runner.start, runner.open, runner.progress
        self._runner = runner

    async def wait(self, ref: SagaRef, until: float) -> SagaProgress:
        await self._runner.wait(ref, until)
        return SagaProgress(SagaOutcome.RUNNING)


async def test_a_rejection_in_the_last_moment_is_no_success(shop: Shop) -> None:
    shop.others.fail["charge"] = [not_sent("away")]
    shop.placing = replace(shop.deps, runner=Impatient(shop.runner))
    assert reason_of(await shop.place()) == "PAYMENT_UNAVAILABLE"


async def test_a_recorded_order_keeps_its_currency(shop: Shop) -> None:
    shop.others.fail["charge"] = [not_sent("away")]
    await shop.place()
    shop.others.currencies["P-1"] = "USD"
    with pytest.raises(DomainError, match="PRICE_CHANGED"):
        await shop.place()
    assert shop.others.count("charge") == 1


@pytest.mark.parametrize("text", ["soon", "nan", "0", "-1", "601", "inf"])
def test_a_deadline_that_is_none_or_outlasts_reservations_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="saga_deadline"):
        read_settings({"saga_deadline": text})
    assert read_settings({}).placing.deadline == 60.0
    assert RESERVATION >= 5 * LONGEST_DEADLINE * MICROSECONDS
