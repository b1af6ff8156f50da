"""`souk orders rebuild`, as an operator types it."""

import asyncio
from pathlib import Path

from click.testing import CliRunner

from marketplace.order.commands import orders
from marketplace.order.domain.order import Order
from marketplace.order.events import Item, OrderPlaced
from marketplace.order.service import service
from marketplace.order.store.orders import OrderStore
from souk.hosting.offline import offline
from souk.store.database import Row, Transaction
from souk.testing.fleet_data import fleet_data


async def _placed(folder: Path) -> list[Row]:
    async with offline(service, folder, new=True) as order:
        store = OrderStore(order.context.outbox, order.context.clock)

        async def place(tx: Transaction) -> list[Row]:
            placed = OrderPlaced("U-1", (Item("P-1", 2, 5),), 10, "EUR", "ADDR-1", "card")
            await store.change(tx, Order("ORD-1"), [placed])
            return await tx.fetch("SELECT id, user_id, status, created_at, body FROM orders")

        rows = await order.context.database.run(place)
        await order.context.database.run(lambda tx: tx.execute("DELETE FROM orders"))
        return [tuple(row) for row in rows]


async def _rows(folder: Path) -> list[Row]:
    async with offline(service, folder, new=True) as order:
        sql = "SELECT id, user_id, status, created_at, body FROM orders"
        return [tuple(row) for row in await order.context.database.read(lambda tx: tx.fetch(sql))]


def _rebuilt(data: Path) -> None:
    before = asyncio.run(_placed(data))
    assert asyncio.run(_rows(data)) == []
    result = CliRunner().invoke(orders, ["rebuild", "--data", str(data)])
    assert (result.exit_code, result.output) == (0, "1 orders read from their events and written anew.\n")
    assert asyncio.run(_rows(data)) == before


def test_a_lost_read_model_is_made_anew_from_the_log(tmp_path: Path) -> None:
    _rebuilt(tmp_path)


def test_that_of_a_fleet_is_made_anew_on_its_postgresql(tmp_path: Path) -> None:
    with fleet_data(tmp_path) as fleet:
        fleet.start(["order"])
        _rebuilt(fleet.data)
        assert not list(fleet.data.glob("*.db"))
