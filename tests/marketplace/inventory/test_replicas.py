"""Two Inventory services on one PostgreSQL database sell what there is, and no more."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from shop.inventory.v1 import inventory_pb2 as pb

from marketplace.inventory.service import deps_of
from marketplace.inventory.use_cases.expire_reservations import expire_reservations
from souk.kernel.errors import DomainError

Shop = Any
COMMITTED, RELEASED, RESERVED = (
    pb.RESERVATION_STATE_COMMITTED,
    pb.RESERVATION_STATE_RELEASED,
    pb.RESERVATION_STATE_RESERVED,
)


@pytest.fixture
async def replicas(open_shop: Any, tmp_path: Path, postgres_url: str) -> AsyncIterator[list[Shop]]:
    async with open_shop(tmp_path, postgres_url) as one, open_shop(tmp_path, postgres_url) as two:
        yield [one, two]


async def reasons(*calls: Any) -> list[str]:
    """How each ended: its state, or the reason of its refusal."""
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(each, int | DomainError) for each in found), found
    return [each.reason if isinstance(each, DomainError) else pb.ReservationState.Name(each) for each in found]


async def test_two_hundred_want_the_last_fifty(replicas: list[Shop]) -> None:
    await replicas[0].adjust("P-1", 50, "a")
    ended = await reasons(*(shop.reserve(f"k{n}", {"P-1": 1}) for n, shop in enumerate(replicas * 100)))
    assert (ended.count("RESERVATION_STATE_RESERVED"), ended.count("OUT_OF_STOCK")) == (50, 150)
    held = [f"k{n}" for n, how in enumerate(ended) if how != "OUT_OF_STOCK"]
    await asyncio.gather(*(replicas[n % 2].commit(key) for n, key in enumerate(held)))
    assert await replicas[1].row("P-1") == (50, 0, 0, 50)


async def test_one_key_is_one_reservation(replicas: list[Shop]) -> None:
    await replicas[0].adjust("P-1", 50, "a")
    assert set(await asyncio.gather(*(shop.reserve("k", {"P-1": 2}) for shop in replicas * 10))) == {RESERVED}
    assert set(await asyncio.gather(*(shop.commit("k") for shop in replicas * 5))) == {COMMITTED}
    assert await replicas[1].row("P-1") == (50, 48, 0, 2)


async def test_orders_that_share_products_in_another_order_do_not_lock_each_other_out(replicas: list[Shop]) -> None:
    products = [f"P-{n}" for n in range(6)]
    for product in products:
        await replicas[0].adjust(product, 20, product)
    wishes = [dict.fromkeys((products[n % 6:] + products[:n % 6])[::step], 1) for n in range(10)
              for step in (1, -1)]  # fmt: skip
    ended = await reasons(*(replicas[n % 2].reserve(f"k{n}", wish) for n, wish in enumerate(wishes)))
    assert set(ended) == {"RESERVATION_STATE_RESERVED"}
    for product in products:
        assert await replicas[0].row(product) == (20, 0, 20, 0)


async def test_what_is_sold_and_released_at_once_is_one_of_them(replicas: list[Shop]) -> None:
    one, two = replicas
    await one.adjust("P-1", 20, "a")
    for n in range(10):
        await one.reserve(f"k{n}", {"P-1": 2})
    ended = await asyncio.gather(*(reasons(one.commit(f"k{n}"), two.release(f"k{n}")) for n in range(10)))
    sold = ["RESERVATION_STATE_COMMITTED", "RESERVATION_COMMITTED"]
    released = ["RESERVATION_RELEASED", "RESERVATION_STATE_RELEASED"]
    assert all(pair in (sold, released) for pair in ended), ended
    pieces = 2 * ended.count(sold)
    assert await two.row("P-1") == (20, 20 - pieces, 0, pieces)


async def test_a_lapsed_reservation_is_put_back_once(replicas: list[Shop]) -> None:
    one, two = replicas
    await one.adjust("P-1", 20, "a")
    for n in range(10):
        await one.reserve(f"k{n}", {"P-1": 2}, ttl=60)
    for shop in replicas:
        shop.clock.advance(61)
    sweeps = (expire_reservations(deps_of(shop.host)) for shop in replicas * 2)
    await asyncio.gather(*sweeps, *(two.release(f"k{n}") for n in range(5)))
    assert await two.row("P-1") == (20, 20, 0, 0)


async def test_one_key_is_one_adjustment(replicas: list[Shop]) -> None:
    assert set(await asyncio.gather(*(shop.adjust("P-1", 7, "a") for shop in replicas * 10))) == {7}
    assert await replicas[0].row("P-1") == (7, 7, 0, 0)
