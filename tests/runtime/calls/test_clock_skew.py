"""A process whose clock is an hour off: what it decides over data goes by the database's, and it is not ready."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from prometheus_client import CollectorRegistry
from shop.inventory.v1 import inventory_pb2, inventory_pb2_grpc

from marketplace.app.app import app
from souk.hosting.assembly import Assembled, assembled
from souk.hosting.event_routing import subscriptions_of
from souk.kernel.clock import MICROSECONDS, SystemClock
from souk.kernel.context import acting_as
from souk.runtime.calls.clock_skew import ClockSkew
from souk.runtime.config.settings import DataSettings, Settings
from souk.testing.lives import AheadClock
from souk.testing.postgres import TemporaryPostgres

PASSWORD = "pw-0815"
OFF = [3_700.0, -3_700.0]
KEEPING = [service for service in app.services if service.migrations is not None]
TRUE = SystemClock()


@pytest.fixture
def server(postgres_server: TemporaryPostgres) -> Iterator[TemporaryPostgres]:
    async def each(work) -> None:
        for service in KEEPING:
            await work(service.name)

    asyncio.run(each(lambda name: postgres_server.create_service_database(name, PASSWORD)))
    yield postgres_server
    asyncio.run(each(postgres_server.drop_service_database))


@asynccontextmanager
async def started(server: TemporaryPostgres, data: Path, ahead: float) -> AsyncIterator[Assembled]:
    settings = Settings(data=DataSettings(data, server.service_url("{service}", PASSWORD)))
    services = [replace(service, subscriptions=()) for service in KEEPING]
    async with assembled(services, subscriptions_of(services), settings, AheadClock(ahead)) as system:
        yield system


@pytest.mark.parametrize("ahead", OFF)
async def test_every_service_goes_by_its_databases_clock(
    server: TemporaryPostgres, tmp_path: Path, ahead: float
) -> None:
    async with started(server, tmp_path, ahead) as system:
        for one in system.hosted:
            assert abs(one.context.clock.now() - TRUE.now()) < 60 * MICROSECONDS, one.service.name
        await keeps_a_reservation(system)
        await is_not_ready(system, ahead)


async def keeps_a_reservation(system: Assembled) -> None:
    """Of an hour, as the true clock tells it; the look for lapsed ones puts back others."""
    inventory = inventory_pb2_grpc.InventoryServiceStub(system.calls.of("order")("inventory"))
    one = next(one for one in system.hosted if one.service.name == "inventory")
    await one.parts.demo()

    async def reserve(key: str, seconds: float) -> None:
        until = Timestamp()
        until.FromMicroseconds(TRUE.now() + round(seconds * MICROSECONDS))
        item = inventory_pb2.StockItem(product_id="P-101", quantity=1)
        await inventory.Reserve(
            inventory_pb2.ReserveRequest(key=key, order_id="O-1", items=[item], expires_at=until), timeout=20
        )

    with acting_as("order", deadline=TRUE.monotonic() + 20):
        await reserve("lasting", 3_600)
        await reserve("lapsed", -3_600)
    async with asyncio.timeout(120):
        while await states(system) != {"lasting": "reserved", "lapsed": "expired"}:
            await asyncio.sleep(0.05)


async def states(system: Assembled) -> dict[str, str]:
    one = next(one for one in system.hosted if one.service.name == "inventory")
    rows = await one.context.database.read(lambda tx: tx.fetch("SELECT key, state FROM reservations"))
    return {row["key"]: row["state"] for row in rows}


async def is_not_ready(system: Assembled, ahead: float) -> None:
    await system.calls.health.check_all()
    assert not system.calls.health.ready
    check = next(check for check in system.calls.health.checks() if check.name == "clock")
    where = "ahead of" if ahead > 0 else "behind"
    assert check.detail.startswith(f"3700 s {where} ")
    assert "set this machine's clock" in check.detail
    found = system.calls.registry.get_sample_value("souk_clock_skew_seconds", {"against": "order's database"})
    assert found == pytest.approx(ahead, abs=30)


async def test_once_off_it_stays_so_until_it_is_well_below_the_limit() -> None:
    skew, ahead = ClockSkew(CollectorRegistry()), [0.0]
    skew.watch("order's database", lambda: ahead[0])

    async def is_off(seconds: float) -> bool:
        ahead[0] = seconds
        return bool(await skew.probe())

    readings = [0.0, 29.0, 31.0, 27.0, -27.0, 24.0, 29.0, -31.0, -24.0]
    assert [await is_off(seconds) for seconds in readings] == [
        *(False, False, True, True, True, False, False, True, False)
    ]


AGREES, AHEAD, BEHIND = 0.5, 3_600.0, -3_600.0


@pytest.mark.parametrize(
    ("databases", "peers", "detail"),
    [
        ([], [], ""),
        ([], [AGREES, AGREES], ""),
        ([], [AHEAD], "3600 s ahead of user-1;"),
        ([], [BEHIND], "3600 s behind user-1;"),
        ([], [AHEAD, AGREES], ""),
        ([], [AHEAD, BEHIND], ""),
        ([], [AHEAD, AHEAD, AGREES], "3600 s ahead of user-1, user-2;"),
        ([], [AHEAD] * 5 + [AGREES], "3600 s ahead of user-1, user-2, user-3 and 2 more;"),
        ([AGREES], [AHEAD], ""),
        ([AGREES], [AHEAD, AHEAD], "3600 s ahead of user-1, user-2;"),
        ([BEHIND], [AGREES] * 5, "3600 s behind database 1;"),
    ],
)
async def test_one_database_decides_and_of_peers_more_than_half(
    databases: list[float], peers: list[float], detail: str
) -> None:
    found = {f"user-{number}": ahead for number, ahead in enumerate(peers, 1)}
    skew = ClockSkew(CollectorRegistry(), lambda: found)
    for number, ahead in enumerate(databases, 1):
        skew.watch(f"database {number}", partial(float, ahead))
    said = await skew.probe()
    assert said.startswith(detail)
    assert bool(said) == bool(detail)
