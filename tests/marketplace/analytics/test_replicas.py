"""Two Analytics services on one PostgreSQL database count each event once."""

import asyncio
from pathlib import Path

from tests.marketplace.analytics.conftest import Sold, at, by_currency, open_desk_in

NOON = at("2026-11-10 12:00")


async def test_both_are_delivered_everything(tmp_path: Path, postgres_url: str) -> None:
    async with open_desk_in(tmp_path, postgres_url) as one, open_desk_in(tmp_path, postgres_url) as two:
        sold = [Sold(f"O-{number}", NOON) for number in range(60)]
        events = [event for order in sold for event in (order.confirmed(), order.refund(100, NOON))]
        await asyncio.gather(*(desk.handle(event) for event in events for desk in (one, two)))
        for desk in (one, two):
            assert by_currency(await desk.revenue())["EUR"][""] == (60, 72_000, 60, 6_000, 66_000)
