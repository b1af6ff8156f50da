"""The whole marketplace on PostgreSQL with two-phase commit as the coordinator of orders that the wallet pays."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from marketplace.order.saga.two_phase import PlaceOrderAtOnce
from souk.faults import EXIT_STATUS
from souk.runtime.config import entry_points
from souk.testing.postgres import TemporaryPostgres
from souk.testing.system import System, embedded, until
from souk.two_phase_commit.fault_points import two_phase_fault_points
from tests.market.api import Api, log_in, wish

PASSWORD = "pw-0815"
ORDERS, STOCK = "/api/v1/orders", "/api/v1/stock/P-101"
SERVICES = [service.name for service in entry_points.app(None).services if service.migrations is not None]
PRICE = 1_200
SETTING = {"SOUK_ORDER_COORDINATOR": "two-phase-commit"}


def settings(server: TemporaryPostgres) -> dict[str, str]:
    return {"SOUK_POSTGRES": server.service_url("{service}", PASSWORD), "SOUK_POSTGRES_POOL": "3", **SETTING}


@pytest.fixture
def server(postgres_server: TemporaryPostgres) -> Iterator[TemporaryPostgres]:
    async def each(work) -> None:
        for name in SERVICES:
            await work(name)

    asyncio.run(each(lambda name: postgres_server.create_service_database(name, PASSWORD)))
    yield postgres_server
    asyncio.run(each(postgres_server.drop_service_database))


@pytest.fixture
def system(server: TemporaryPostgres, tmp_path: Path) -> Iterator[System]:
    with embedded(tmp_path, settings=settings(server)) as system:
        yield system


def demo(system: System) -> Api:
    return log_in(system.url, "demo@souk.test", "demo-password")


def by_wallet(quantity: int = 1, **change: Any) -> dict[str, Any]:
    return {**wish(("P-101", quantity, PRICE), **change), "paymentMethod": "wallet"}


def prepared(server: TemporaryPostgres) -> list[str]:
    async def ask() -> list[str]:
        connection = await asyncpg.connect(server.url())
        try:
            return [row["gid"] for row in await connection.fetch("SELECT gid FROM pg_prepared_xacts")]
        finally:
            await connection.close()

    return asyncio.run(ask())


def state(buyer: Api) -> tuple[int, int]:
    """Gives what is in the wallet, and what is in stock."""
    return buyer.ok("GET", "/api/v1/wallet")["balance"], int(buyer.ok("GET", STOCK)["available"])


def test_a_wallet_and_the_stock_change_together(server: TemporaryPostgres, system: System) -> None:
    with demo(system) as buyer:
        money, pieces = state(buyer)
        order = buyer.ok("POST", ORDERS, 201, json=by_wallet(2))
        assert order["status"] == "CONFIRMED"
        until(lambda: state(buyer) == (money - 2 * PRICE, pieces - 2), 20, "both are committed")
        until(lambda: not prepared(server), 20, "nothing stays prepared")
        history = buyer.ok("GET", f"{ORDERS}/{order['id']}/events")["events"]
        assert "StockReserved" not in str(history), "it was placed by the saga"
        payments = buyer.ok("GET", "/api/v1/payments", params={"pageSize": 100})["payments"]
        assert [each["status"] for each in payments if each["orderId"] == order["id"]] == ["CAPTURED"]

        until(
            lambda: buyer.request("POST", f"{ORDERS}/{order['id']}:cancel", json={}).status_code == 200, 20, "cancelled"
        )
        until(lambda: state(buyer) == (money, pieces), 20, "all is given back")

        short = buyer.problem(409, "OUT_OF_STOCK", "POST", ORDERS, json=by_wallet(pieces + 1))
        assert short["items"] == [{"productId": "P-101", "available": pieces}]
        with log_in(system.url, "admin@souk.test", "admin-password") as admin:
            body = {"delta": 1_000, "reason": "test", "idempotencyKey": "more"}
            pieces = int(admin.ok("POST", f"{STOCK}:adjust", json=body)["available"])
        poor = buyer.problem(402, "PAYMENT_DECLINED", "POST", ORDERS, json=by_wallet(money // PRICE + 1))
        assert poor["reason"] == "insufficient_funds"
        assert state(buyer) == (money, pieces)

        card = buyer.ok("POST", ORDERS, 201, json=wish(("P-101", 1, PRICE)))
        history = buyer.ok("GET", f"{ORDERS}/{card['id']}/events")["events"]
        assert "StockReserved" in str(history), "a card is charged by the saga"
    assert prepared(server) == []
    assert system.stop() == [0], system.output()


def _points() -> list[str]:
    nobody: Any = type("Nobody", (), {"confirm": None, "reject": None, "placed": None})
    return [
        point
        for point in two_phase_fault_points(PlaceOrderAtOnce(nobody, nobody, nobody).action)
        if "roll back" not in point and "aborted" not in point
    ]


@pytest.mark.full
@pytest.mark.parametrize("point", _points())
def test_a_process_that_dies_anywhere_leaves_both_or_neither(
    server: TemporaryPostgres, tmp_path: Path, point: str
) -> None:
    """Everything dies at once: the coordinator and both participants."""
    with embedded(tmp_path, settings=settings(server), faults={point: 0}) as system:
        body = by_wallet()
        with demo(system) as buyer:
            money, pieces = state(buyer)
            with suppress(httpx.TransportError):  # it may die while it answers
                buyer.request("POST", ORDERS, json=body)
            until(system.dead, 20, "it dies")
        assert system.parts[0].status == EXIT_STATUS
        system.start()
        with demo(system) as buyer:
            until(lambda: buyer.request("POST", ORDERS, json=body).status_code == 201, 60, "the order is confirmed")
            until(lambda: not prepared(server), 30, "nothing stays prepared")
            until(lambda: state(buyer) == (money - PRICE, pieces - 1), 20, "both happened, once")


def test_sqlite_is_refused_at_the_start(tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match="two-phase commit needs PostgreSQL: SQLite has no prepared transactions"),
        embedded(tmp_path, settings=SETTING),
    ):
        raise RuntimeError("it started")
