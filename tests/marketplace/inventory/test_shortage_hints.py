"""Redis as the gate in front of the stock: lost, empty or wrong, it never oversells and never keeps stock back."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from marketplace.inventory.store.turns import Turns
from souk.kernel.errors import DomainError
from souk.testing.valkey import redis, valkey_server  # noqa: F401 - fixtures

MARK = "souk:inventory:short:P-1"


@pytest.fixture
async def replicas(open_shop: Any, tmp_path: Path, postgres_url: str, redis: Any) -> AsyncIterator[list[Any]]:  # noqa: F811
    async with open_shop(tmp_path, postgres_url, redis) as one, open_shop(tmp_path, postgres_url, redis) as two:
        yield [one, two]


@pytest.fixture
def held(replicas, monkeypatch) -> list[str]:
    """Every reservation that queued for a row's lock, by its key."""
    seen: list[str] = []
    for shop in replicas:
        stock = shop.parts.servicer._deps.stock
        insert = stock.insert

        async def spying(tx, reservation, now, insert=insert):
            if reservation.key not in seen:  # a transaction may be run again
                seen.append(reservation.key)
            return await insert(tx, reservation, now)

        monkeypatch.setattr(stock, "insert", spying)
    return seen


async def refused(shop: Any, key: str, items: dict[str, int]) -> list[tuple[str, int]]:
    with pytest.raises(DomainError, match="OUT_OF_STOCK") as raised:
        await shop.reserve(key, items)
    return [(stock.product_id, stock.available) for stock in raised.value.details[0].items]


async def test_after_one_refusal_others_are_refused_without_queueing(replicas, held):
    one, two = replicas
    await one.adjust("P-1", 3, "a")
    await one.reserve("k0", {"P-1": 3})
    assert await refused(one, "k1", {"P-1": 1}) == [("P-1", 0)]
    assert held == ["k0", "k1"]
    assert await refused(two, "k2", {"P-1": 1, "P-9": 4}) == [("P-1", 0), ("P-9", 0)]
    assert held == ["k0", "k1"]


async def test_one_that_wants_less_than_is_left_is_served(replicas, held):
    one, two = replicas
    await one.adjust("P-1", 3, "a")
    assert await refused(one, "k1", {"P-1": 5}) == [("P-1", 3)]
    await two.reserve("k2", {"P-1": 3})
    assert held == ["k1", "k2"]


async def test_a_mark_that_is_wrong_keeps_nothing_back(replicas, redis):  # noqa: F811
    await replicas[0].adjust("P-1", 3, "a")
    await redis.set(MARK, 0)
    await replicas[0].reserve("k1", {"P-1": 3})
    assert await replicas[1].row("P-1") == (3, 0, 3, 0)


@pytest.mark.parametrize("mark", ["1000000", "-5", "many", b"\xff\x00", "9" * 400])
async def test_a_mark_that_is_wrong_sells_nothing_that_is_not_there(replicas, redis, mark):  # noqa: F811
    await replicas[0].adjust("P-1", 1, "a")
    await replicas[0].reserve("k1", {"P-1": 1})
    await redis.set(MARK, mark)
    assert await refused(replicas[1], "k2", {"P-1": 1}) == [("P-1", 0)]


async def test_a_mark_of_another_kind_is_no_mark(replicas, redis):  # noqa: F811
    await replicas[0].adjust("P-1", 1, "a")
    await redis.rpush(MARK, "a list")
    await replicas[0].reserve("k1", {"P-1": 1})


async def test_a_key_that_holds_stock_is_answered_whatever_the_mark_says(replicas, redis):  # noqa: F811
    one, two = replicas
    await one.adjust("P-1", 3, "a")
    first = await one.reserve("k1", {"P-1": 3})
    await redis.set(MARK, 0)
    assert await two.reserve("k1", {"P-1": 3}) == first


async def test_stock_that_comes_back_is_sold_though_the_mark_stands(replicas, redis):  # noqa: F811
    one, two = replicas
    await one.adjust("P-1", 1, "a")
    await one.reserve("k1", {"P-1": 1})
    await refused(one, "k2", {"P-1": 1})
    await one.release("k1")
    assert await redis.get(MARK) == b"0"
    await two.reserve("k2", {"P-1": 1})


async def test_without_redis_the_gate_stands_open(replicas, valkey_server):  # noqa: F811
    one, two = replicas
    await one.adjust("P-1", 2, "a")
    valkey_server.stop(signal.SIGKILL)
    try:
        await one.reserve("k1", {"P-1": 2})
        assert await refused(two, "k2", {"P-1": 1}) == [("P-1", 0)]
    finally:
        valkey_server.start()


async def test_two_hundred_want_fifty_while_redis_is_emptied(replicas, redis):  # noqa: F811
    await replicas[0].adjust("P-1", 50, "a")

    async def empty_it(reserving):
        while not all(task.done() for task in reserving):
            await redis.flushall()

    reserving = [asyncio.ensure_future(shop.reserve(f"k{n}", {"P-1": 1})) for n, shop in enumerate(replicas * 100)]
    await empty_it(reserving)
    ended = await asyncio.gather(*reserving, return_exceptions=True)
    assert all(not isinstance(end, BaseException) or isinstance(end, DomainError) for end in ended)
    assert sum(not isinstance(end, BaseException) for end in ended) == 50
    assert await replicas[1].row("P-1") == (50, 0, 50, 0)


async def test_only_a_few_queue_in_the_database_and_the_rest_in_order():
    turns, inside, most, order = Turns(2), 0, 0, []

    async def visit(number, products):
        nonlocal inside, most
        async with turns.of(products):
            inside += 1
            most = max(most, inside)
            order.append(number)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(visit(number, ["P-1"]) for number in range(20)))
    assert (most, order) == (2, list(range(20)))
    await asyncio.gather(*(visit(n, ["P-1", "P-2"] if n % 2 else ["P-2", "P-1"]) for n in range(20)))
    assert not turns._locks.held
