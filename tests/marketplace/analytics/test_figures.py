"""What becomes of events: revenue, top products and conversion, on both engines."""

import asyncio

import pytest
from shop.order.v1 import order_pb2 as orders
from soukapi.v1.event_pb2 import Event

from souk.kernel.errors import DomainError, PoisonedEvent
from tests.marketplace.analytics.conftest import Desk, Sold, at, best, by_currency, outcomes

EVENING, MORNING = at("2026-11-10 23:59"), at("2026-11-11 00:00")


async def test_nothing_has_happened_yet(desk: Desk) -> None:
    revenue, products, conversion = await desk.revenue(), await desk.products(), await desk.conversion()
    assert (list(revenue.currencies), list(products.currencies), list(conversion.days)) == ([], [], [])
    assert not revenue.HasField("as_of")
    assert not products.HasField("as_of")
    assert not conversion.HasField("as_of")
    assert not conversion.total.HasField("rate")


async def test_an_order_counts_on_the_day_on_which_it_was_confirmed(desk: Desk) -> None:
    order = Sold("O-1", EVENING, (("P-1", 2, 1_200), ("P-2", 1, 600)))
    await desk.handle(order.confirmed(MORNING))
    revenue = await desk.revenue()
    assert by_currency(revenue) == {"EUR": {"": (1, 3_000, 0, 0, 3_000), "2026-11-11": (1, 3_000, 0, 0, 3_000)}}
    assert revenue.as_of.ToMicroseconds() == MORNING
    (euros,) = (await desk.products()).currencies
    assert best(euros.products) == [("P-1", 2, 2_400), ("P-2", 1, 600)]
    (day,) = (await desk.conversion()).days
    assert (day.date, outcomes(day.outcomes), day.outcomes.rate) == ("2026-11-10", (1, {}, 0), 1.0)


async def test_a_refund_counts_on_its_own_day(desk: Desk) -> None:
    order = Sold("O-1", EVENING)
    await desk.handle(order.confirmed(), order.refund(200, EVENING), order.refund(300, MORNING))
    assert by_currency(await desk.revenue())["EUR"] == {
        "": (1, 1_200, 2, 500, 700),
        "2026-11-10": (1, 1_200, 1, 200, 1_000),
        "2026-11-11": (0, 0, 1, 300, -300),
    }


async def test_a_cancelled_order_stays_sold_and_is_refunded(desk: Desk) -> None:
    order = Sold("O-1", EVENING)
    await desk.handle(order.confirmed(), order.refund(1_200, MORNING), order.cancelled(MORNING))
    assert by_currency(await desk.revenue())["EUR"][""] == (1, 1_200, 1, 1_200, 0)
    assert outcomes((await desk.conversion()).total) == (1, {}, 1)


async def test_currencies_are_never_added_up(desk: Desk) -> None:
    await desk.handle(Sold("O-1", EVENING).confirmed(), Sold("O-2", EVENING, currency="USD").confirmed())
    assert {name: days[""][1] for name, days in by_currency(await desk.revenue()).items()} == {
        "EUR": 1_200,
        "USD": 1_200,
    }
    assert list(by_currency(await desk.revenue(currency="USD"))) == ["USD"]
    assert [one.currency for one in (await desk.products()).currencies] == ["EUR", "USD"]
    assert [one.currency for one in (await desk.products(currency="EUR")).currencies] == ["EUR"]


async def test_conversion_has_the_reasons_the_most_frequent_first(desk: Desk) -> None:
    for number, reason in enumerate(["PAYMENT_DECLINED", "OUT_OF_STOCK", "OUT_OF_STOCK"]):
        await desk.handle(Sold(f"O-{number}", EVENING).rejected(reason, MORNING))
    await desk.handle(Sold("O-9", EVENING).confirmed())
    conversion = await desk.conversion()
    assert [(one.reason, one.orders) for one in conversion.total.rejections] == [
        ("OUT_OF_STOCK", 2),
        ("PAYMENT_DECLINED", 1),
    ]
    assert (conversion.total.rejected, conversion.total.rate) == (3, 0.25)
    assert [day.date for day in conversion.days] == ["2026-11-10"]
    assert by_currency(await desk.revenue())["EUR"][""][0] == 1


async def test_top_products_by_revenue_and_by_units(desk: Desk) -> None:
    dear = Sold("O-1", EVENING, (("P-dear", 1, 9_000), ("P-b", 3, 100)))
    cheap = Sold("O-2", EVENING, (("P-cheap", 9, 100), ("P-a", 3, 100)))
    await desk.handle(dear.confirmed(), cheap.confirmed())
    (euros,) = (await desk.products()).currencies
    assert [one.product_id for one in euros.products] == ["P-dear", "P-cheap", "P-a", "P-b"]
    (euros,) = (await desk.products(sort="-units", page_size=2)).currencies
    assert best(euros.products) == [("P-cheap", 9, 900), ("P-a", 3, 300)]
    assert list((await desk.products("2026-11-11", "2026-11-30")).currencies) == []


async def test_only_the_days_of_the_range_are_read(desk: Desk) -> None:
    for number in range(1, 6):
        await desk.handle(Sold(f"O-{number}", at(f"2026-11-{number:02} 12:00")).confirmed())
    days = by_currency(await desk.revenue("2026-11-02", "2026-11-04"))["EUR"]
    assert sorted(days) == ["", "2026-11-02", "2026-11-03", "2026-11-04"]
    assert days[""][0] == 3
    assert [day.date for day in (await desk.conversion("2026-11-05", "2026-11-05")).days] == ["2026-11-05"]


async def test_a_repeat_counts_nothing(desk: Desk) -> None:
    order = Sold("O-1", EVENING)
    events = [order.confirmed(), order.refund(100, MORNING), order.refund(100, MORNING), order.cancelled(MORNING)]
    await desk.handle(*events)
    before = await desk.revenue(), await desk.products(), await desk.conversion()
    await desk.handle(*reversed(events), *events)
    assert (await desk.revenue(), await desk.products(), await desk.conversion()) == before


async def test_one_event_that_is_delivered_many_times_at_once_counts_once(desk: Desk) -> None:
    event = Sold("O-1", EVENING).confirmed()
    await asyncio.gather(*(desk.handle(event) for _ in range(10)))
    assert by_currency(await desk.revenue())["EUR"][""] == (1, 1_200, 0, 0, 1_200)


async def test_orders_that_are_counted_at_once_are_all_there(desk: Desk) -> None:
    await asyncio.gather(*(desk.handle(Sold(f"O-{number}", EVENING).confirmed()) for number in range(100)))
    assert by_currency(await desk.revenue())["EUR"][""] == (100, 120_000, 0, 0, 120_000)


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (Event(type="shop.order.v1.OrderShipped"), "is not counted"),
        (Event(type="shop.order.v1.OrderConfirmed", payload=b"\xff"), "is no shop.order.v1.OrderConfirmed"),
        (Event(type="shop.order.v1.OrderConfirmed"), "names no order"),
    ],
)
async def test_what_cannot_be_read_is_parked(desk: Desk, event: Event, why: str) -> None:
    with pytest.raises(PoisonedEvent, match=why):
        await desk.handle(event)


async def test_an_event_of_a_newer_version_is_counted(desk: Desk) -> None:
    event = Sold("O-1", EVENING).confirmed()
    event.payload += b"\xfa\x7f\x03new"  # a field that this version does not know
    assert orders.OrderConfirmed.FromString(event.payload).order.id == "O-1"
    await desk.handle(event)
    assert by_currency(await desk.revenue())["EUR"][""][0] == 1


async def test_a_sum_that_json_cannot_hold_is_refused(desk: Desk) -> None:
    most = 2**53 - 1
    await desk.handle(Sold("O-1", EVENING, (("P-1", 1, most),)).confirmed())
    assert by_currency(await desk.revenue())["EUR"][""][1] == most
    await desk.handle(Sold("O-2", MORNING, (("P-1", 1, most),)).confirmed())
    for read in (desk.revenue, desk.products):
        with pytest.raises(DomainError, match="shorter range") as refused:
            await read()
        assert refused.value.reason == "SUM_TOO_LARGE"
    assert by_currency(await desk.revenue("2026-11-10", "2026-11-10"))["EUR"][""][1] == most
