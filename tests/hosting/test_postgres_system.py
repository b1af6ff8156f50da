"""The whole marketplace on PostgreSQL: a database and a role a service, a purchase, a crash, the same answer."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import httpx
import pytest

from souk.runtime.config import entry_points
from souk.testing.postgres import TemporaryPostgres
from souk.testing.system import System, embedded, until
from tests.market.api import Api, log_in, wish

PASSWORD = "pw-0815"
ORDERS = "/api/v1/orders"
SERVICES = [service.name for service in entry_points.app(None).services if service.migrations is not None]


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
    with embedded(tmp_path, settings={"SOUK_POSTGRES": server.service_url("{service}", PASSWORD)}) as system:
        yield system


def demo(system: System) -> Api:
    return log_in(system.url, "demo@souk.test", "demo-password")


def charges(buyer: Api, order_id: str) -> int:
    payments = buyer.ok("GET", "/api/v1/payments", params={"pageSize": 100})["payments"]
    return sum(payment["orderId"] == order_id for payment in payments)


async def entering(server: TemporaryPostgres, role: str, database: str) -> str:
    """Tries to connect to a database as a role; gives the result."""
    url = server.service_url(role, PASSWORD).replace(f"/{role}?", f"/{database}?")
    try:
        await (await asyncpg.connect(url)).close()
    except asyncpg.PostgresError as error:
        return type(error).__name__
    return "entered"


def test_an_order_outlives_the_process(server: TemporaryPostgres, system: System) -> None:
    body = wish(("P-101", 2, 1_200))
    with demo(system) as buyer:
        first = buyer.ok("POST", ORDERS, 201, json=body)
        assert first["status"] == "CONFIRMED"
    system.kill()
    system.start()
    with demo(system) as buyer:
        again = buyer.request("POST", ORDERS, json=body)
        assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
        assert again.json() == first
        assert charges(buyer, first["id"]) == 1
    assert list(system.data.glob("*.db")) == []
    assert system.stop() == [0], system.output()
    for role in SERVICES:
        for database in SERVICES:
            expected = "entered" if role == database else "InsufficientPrivilegeError"
            assert asyncio.run(entering(server, role, database)) == expected


@pytest.mark.full
def test_orders_that_a_crash_interrupts_end_once(system: System) -> None:
    stock = stock_of(system, "P-101")
    wishes = [wish(("P-101", 1, 1_200), key=f"key-{n}") for n in range(48)]

    def send(buyer: Api, body: dict[str, object]) -> int:
        try:
            return buyer.request("POST", ORDERS, json=body).status_code
        except httpx.TransportError:
            return 0

    with demo(system) as buyer, ThreadPoolExecutor(len(wishes)) as pool:
        sent = [pool.submit(send, buyer, body) for body in wishes]
        until(lambda: any(each.done() for each in sent), 20, "one of them is answered")
        system.kill()
        answers = [each.result() for each in sent]
    assert 201 in answers
    assert 0 in answers
    system.start()
    with demo(system) as buyer:
        for body in wishes:
            until(lambda body=body: send(buyer, body) == 201, 40, "each is confirmed")
        orders = buyer.ok("GET", ORDERS, params={"pageSize": 100})["orders"]
        assert [charges(buyer, order["id"]) for order in orders] == [1] * len(wishes)
    assert stock_of(system, "P-101") == stock - len(wishes)


def stock_of(system: System, product: str) -> int:
    with Api(system.url) as anyone:
        return int(anyone.ok("GET", f"/api/v1/stock/{product}")["available"])
