"""`souk orders rebuild`, as an operator types it."""

import asyncio
from pathlib import Path

from click.testing import CliRunner

from marketplace.order.commands import orders
from marketplace.order.domain import Item, Order
from marketplace.order.events import OrderPlaced
from marketplace.order.service import service
from marketplace.order.store import OrderStore
from souk.hosting.offline import offline
from souk.store.database import Row, Transaction


async def _placed(folder: Path) -> list[Row]:
    async with offline(service, folder) as order:
        store = OrderStore(order.host.outbox, order.host.clock)

        async def place(tx: Transaction) -> list[Row]:
            placed = OrderPlaced("U-1", (Item("P-1", 2, 5),), 10, "EUR", "ADDR-1", "card")
            await store.change(tx, Order("ORD-1"), [placed])
            return await tx.fetch("SELECT id, user_id, status, created_at, body FROM orders")

        rows = await order.host.database.run(place)
        await order.host.database.run(lambda tx: tx.execute("DELETE FROM orders"))
        return [tuple(row) for row in rows]


async def _rows(folder: Path) -> list[Row]:
    async with offline(service, folder) as order:
        sql = "SELECT id, user_id, status, created_at, body FROM orders"
        return [tuple(row) for row in await order.host.database.read(lambda tx: tx.fetch(sql))]


def test_a_lost_read_model_is_made_anew_from_the_log(tmp_path: Path) -> None:
    before = asyncio.run(_placed(tmp_path))
    assert asyncio.run(_rows(tmp_path)) == []
    result = CliRunner().invoke(orders, ["rebuild", "--data", str(tmp_path)])
    assert (result.exit_code, result.output) == (0, "1 orders read from their events and written anew.\n")
    assert asyncio.run(_rows(tmp_path)) == before
