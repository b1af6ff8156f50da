import asyncio

import pytest
from shop.inventory.v1 import inventory_pb2 as pb

from souk.kernel.errors import DomainError, InvalidArgument


async def _events(shop) -> list[pb.StockChanged]:
    sql = "SELECT payload FROM souk_outbox ORDER BY time"
    rows = await shop.host.database.read(lambda tx: tx.fetch(sql))
    return [pb.StockChanged.FromString(row["payload"]) for row in rows]


async def test_stock_of_a_product_that_never_had_any_is_not_found(shop) -> None:
    with pytest.raises(DomainError, match="STOCK_NOT_FOUND"):
        await shop.available("P-1")


async def test_stock_is_added_and_taken(shop) -> None:
    assert await shop.adjust("P-1", 10, "a") == 10
    assert await shop.adjust("P-1", -4, "b") == 6
    assert await shop.adjust("P-1", 1, "c") == 7
    assert await shop.row("P-1") == (7, 7, 0, 0)
    assert [event.available for event in await _events(shop)] == [10, 6, 7]


async def test_what_is_reserved_cannot_be_taken(shop) -> None:
    await shop.adjust("P-1", 10, "a")
    await shop.reserve("k", {"P-1": 8})
    with pytest.raises(DomainError, match="OUT_OF_STOCK") as refused:
        await shop.adjust("P-1", -3, "b")
    assert refused.value.details[0].items[0].available == 2
    assert await shop.adjust("P-1", -2, "b") == 0, "a refusal leaves the key unused"


async def test_nothing_is_taken_of_an_unknown_product(shop) -> None:
    with pytest.raises(DomainError, match="OUT_OF_STOCK"):
        await shop.adjust("P-1", -1, "a")


async def test_a_repeat_gets_the_first_answer(shop) -> None:
    await shop.adjust("P-1", 10, "a")
    assert shop.record.trailing == {}
    await shop.adjust("P-1", 5, "b")
    assert await shop.adjust("P-1", 10, "a") == 10
    assert shop.record.trailing == {"idempotent-replayed": "true"}
    assert await shop.available("P-1") == 15
    assert len(await _events(shop)) == 2


async def test_concurrent_repeats_adjust_once(shop) -> None:
    assert await asyncio.gather(*(shop.adjust("P-1", 10, "a") for _ in range(10))) == [10] * 10
    assert await shop.available("P-1") == 10


@pytest.mark.parametrize("other", [("P-2", 10, "test"), ("P-1", 11, "test"), ("P-1", 10, "other")])
async def test_a_key_is_refused_for_another_adjustment(shop, other) -> None:
    await shop.adjust("P-1", 10, "a")
    product, delta, reason = other
    with pytest.raises(DomainError, match="IDEMPOTENCY_KEY_REUSED"):
        await shop.adjust(product, delta, "a", reason)


@pytest.mark.parametrize(
    ("product", "delta", "key", "reason", "field"),
    [
        ("", 1, "a", "test", "product_id"),
        ("P-1", 0, "a", "test", "delta"),
        ("P-1", 2**53, "a", "test", "delta"),
        ("P-1", -(2**63), "a", "test", "delta"),
        ("P-1", 1, "", "test", "idempotency_key"),
        ("P-1", 1, "a", "", "reason"),
        ("P-1", 1, "a", "r" * 201, "reason"),
    ],
)
async def test_a_wrong_adjustment_is_refused(shop, product, delta, key, reason, field) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await shop.adjust(product, delta, key, reason)
    assert [violation.field for violation in refused.value.violations] == [field]


async def test_more_than_can_be_counted_is_refused(shop) -> None:
    await shop.adjust("P-1", 2**53 - 1, "a")
    with pytest.raises(InvalidArgument):
        await shop.adjust("P-1", 1, "b")
    assert await shop.row("P-1") == (2**53 - 1, 2**53 - 1, 0, 0)


async def test_demo_stock_is_loaded_once(shop) -> None:
    await shop.parts.demo()
    await shop.reserve("k", {"P-101": 2})
    await shop.parts.demo()
    assert await shop.row("P-101") == (100, 98, 2, 0)
    assert await shop.available("P-164") > 0
