"""The registry goes away: whoever knows the others goes on."""

import asyncio
import os
import signal
import time
from pathlib import Path

import httpx
import pytest

from souk.discovery.embedded.server import serving_registry
from souk.testing.processes import service
from souk.testing.system import until
from tests.fleet.conftest import Bazaar, Opened
from tests.market.buyers import Crowd, counted

GOOD = {(201, "CONFIRMED"), (202, "PENDING")}
CLIENTS, RATE = 2, 4
LATE = 120.0
READS = 400
"""More than the lines that a pipe holds: whoever hangs does not read what the others log, either."""


def test_while_the_registry_hangs_orders_go_on(bazaar: Bazaar) -> None:
    supervisor, operator = bazaar.system.parts[0], bazaar.operator
    callers = [name for service in ("gateway", "order") for name in operator.instances(service)]
    with Crowd(bazaar.shop.url, bazaar.wishes("hung"), clients=CLIENTS, per_second=RATE, insist=False) as crowd:
        time.sleep(0.5)
        supervisor.send(signal.SIGSTOP)
        try:
            until(lambda: all(map(operator.without_registry, callers)), LATE, "those who call others miss it")
            for _ in range(READS):
                bazaar.shop.anyone.ok("GET", "/api/v1/stock/P-101")
        finally:
            supervisor.send(signal.SIGCONT)
    print(f"\nthe supervisor hung: {counted(crowd.answers)}, longest {max(one.took for one in crowd.answers):.1f} s")
    assert counted(crowd.answers).keys() <= GOOD


@pytest.mark.full
def test_when_the_supervisor_is_killed_the_next_start_takes_over_and_no_order_is_lost(opened: Opened) -> None:
    with opened("--scale", "order=2") as bazaar:
        supervisor = bazaar.system.parts[0]
        group, wishes = supervisor.pid, bazaar.wishes("orphaned")
        try:
            with Crowd(bazaar.shop.url, wishes, clients=CLIENTS, per_second=RATE, insist=False) as crowd:
                time.sleep(1.0)
                os.kill(supervisor.pid, signal.SIGKILL)
                supervisor.await_end()
                bazaar.system.start()
                time.sleep(1.0)
            print(f"\nthe supervisor was killed: {counted(crowd.answers)}")
        finally:
            if not supervisor.runs:
                os.killpg(group, signal.SIGKILL)
        bazaar.kept(crowd)
        bazaar.close_books()


async def test_a_registry_that_comes_later_than_everybody_else_is_found(tmp_path: Path) -> None:
    where = tmp_path / "registry.sock"
    settings = {"SOUK_REGISTRY": f"unix:{where}"}
    async with (
        service("product", tmp_path / "data", "--demo", settings=settings),
        service("gateway", tmp_path / "data", settings=settings) as gateway,
        httpx.AsyncClient(base_url=f"http://{gateway.address}", timeout=60.0, trust_env=False) as client,
    ):
        told = await client.get("/api/v1/products/P-101")
        assert (told.status_code, told.json()["code"]) == (503, "PRODUCT_UNAVAILABLE"), told.text
        ready = await client.get("/readyz")
        assert ready.status_code == 503
        async with serving_registry(where), asyncio.timeout(LATE):
            while (await client.get("/api/v1/products/P-101")).status_code != 200:
                await asyncio.sleep(0.1)
