"""One order in the logs of all processes: found by its id, with the trace in which it was placed."""

import json
from typing import Any

import pytest

from souk.testing.processes import run
from tests.market.shop import Shop


async def found(shop: Shop, *words: str) -> list[dict[str, Any]]:
    ended = await run("logs", *words, "--json", "--data", str(shop.data))
    assert ended.status == 0, ended.err
    return [json.loads(line) for line in ended.out.splitlines()]


async def test_an_order_is_found_by_its_id(shop: Shop) -> None:
    if shop.mode == "processes":
        pytest.skip("processes that nobody supervises have their own logs each")
    buyer = shop.buyer()
    order = buyer.buy((shop.product(), 1, 1_200))
    buyer.order(order["id"])
    lines: list[dict[str, Any]] = []

    async def is_logged() -> bool:
        lines[:] = [one for one in await found(shop, "--order", order["id"]) if one["event"] == "request"]
        return {one["method"] for one in lines} >= {"POST", "GET"}

    for _ in range(300):
        if await is_logged():
            break
    placed = next(one for one in lines if one["method"] == "POST")
    assert placed["location"] == f"/api/v1/orders/{order['id']}"
    traced = await found(shop, "--trace", placed["trace_id"])
    assert [one for one in traced if one.get("location")] == [placed]
    assert await found(shop, "--order", order["id"], "--level", "error") == []
    assert await found(shop, "--order", order["id"], "--until", "2020-01-01") == []
