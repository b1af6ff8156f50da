"""PostgreSQL and Valkey go away under load: whoever buys meanwhile is told so, or served, and all comes right."""

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
import redis

from souk.backing.postgres.roles import PREFIX
from souk.runtime.data.layout import DataLayout
from souk.testing.system import until
from tests.fleet.conftest import Bazaar
from tests.market.buyers import Crowd, counted
from tests.market.rows import superuser_url

WELL = (201, "CONFIRMED")
LATE = (202, "PENDING")
"""What a buyer gets whose order takes longer than a buyer waits, as on a busy machine."""
CLIENTS, FEW, RATE = 8, 2, 15
"""Few where no answer may be a refusal: more would meet time limits of calls on a busy machine."""


def _crash_postgres(bazaar: Bazaar) -> None:
    bazaar.operator.kill("postgres", signal.SIGQUIT)


def _kill_postgres(bazaar: Bazaar) -> None:
    bazaar.operator.kill("postgres")


def _restart_postgres(bazaar: Bazaar) -> None:
    bazaar.operator.souk("restart", "postgres")


def _flush_valkey(bazaar: Bazaar) -> None:
    with redis.Redis(unix_socket_path=str(DataLayout(bazaar.system.data).valkey_socket)) as client:
        client.flushall()


def _kill_valkey(bazaar: Bazaar) -> None:
    bazaar.operator.kill("valkey")


def _under_load(bazaar: Bazaar, happens: Callable[[Bazaar], None], clients: int) -> Crowd:
    """Gives the answers of a crowd that insists, while something happens to the system."""
    name = happens.__name__
    with Crowd(bazaar.shop.url, bazaar.wishes(name), clients=clients, per_second=RATE) as crowd:
        until(lambda: len(crowd.answers) >= clients, 120, "orders are placed")
        happens(bazaar)
        bazaar.operator.await_ready()
        after = time.monotonic()
        until(lambda: any(one.outcome == WELL for one in crowd.since(after)), 120, "orders are confirmed again")
    print(f"\n{name}: {counted(crowd.answers)}, longest {max(one.took for one in crowd.answers):.1f} s")
    assert {answers[-1].outcome for answers in crowd.ends().values()} == {WELL}
    bazaar.kept(crowd)
    return crowd


@pytest.mark.full
@pytest.mark.parametrize("happens", [_crash_postgres, _kill_postgres, _restart_postgres])
def test_postgres_goes_and_comes_under_load(bazaar: Bazaar, happens: Callable[[Bazaar], None]) -> None:
    crowd = _under_load(bazaar, happens, CLIENTS)
    met = {status for status, _ in counted(crowd.answers)}
    assert met <= {201, 202, 409, 503, 504}, "a problem, never a riddle"


@pytest.mark.parametrize("happens", [pytest.param(_flush_valkey, marks=pytest.mark.full), _kill_valkey])
def test_valkey_is_nothing_that_anybody_misses(bazaar: Bazaar, happens: Callable[[Bazaar], None]) -> None:
    crowd = _under_load(bazaar, happens, FEW)
    assert counted(crowd.answers).keys() <= {WELL, LATE}


def test_while_valkey_is_stopped_orders_go_on(bazaar: Bazaar) -> None:
    """Back at once it is missed by few, and their sagas ask again; so here it stays away."""
    bazaar.operator.souk("stop", "valkey")
    try:
        wishes = bazaar.wishes("without")
        with Crowd(bazaar.shop.url, wishes, clients=FEW, per_second=RATE, insist=False, most=3 * RATE) as crowd:
            crowd.finish()
    finally:
        bazaar.operator.souk("start", "valkey")
    print(f"\nwithout Valkey: {counted(crowd.answers)}, longest {max(one.took for one in crowd.answers):.1f} s")
    assert counted(crowd.answers).keys() <= {WELL, LATE}


async def _limit(data: Path, role: str, connections: int) -> None:
    connection = await asyncpg.connect(superuser_url(data))
    try:
        await connection.execute(f'ALTER ROLE "{role}" CONNECTION LIMIT {connections}')
        sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1"
        while connections == 0 and await connection.fetch(sql, role):
            await asyncio.sleep(0.05)
    finally:
        await connection.close()


@pytest.mark.full
def test_without_connections_buyers_are_told_so_and_nobody_hangs(bazaar: Bazaar) -> None:
    role = f"{PREFIX}inventory"
    asyncio.run(_limit(bazaar.system.data, role, 0))
    try:
        with Crowd(bazaar.shop.url, bazaar.wishes("crowded"), clients=CLIENTS, per_second=RATE, insist=False) as crowd:
            until(lambda: len(crowd.answers) >= 3 * CLIENTS, 120, "buyers are answered")
    finally:
        asyncio.run(_limit(bazaar.system.data, role, -1))
    print(f"\nno connections: {counted(crowd.answers)}, longest {max(one.took for one in crowd.answers):.1f} s")
    assert {status for status, _ in counted(crowd.answers)} <= {202, 503, 504}
    crowd.ask_again()
    assert {answers[-1].outcome for answers in crowd.ends().values()} == {WELL}


def test_what_was_read_can_be_read_while_postgres_is_stopped(bazaar: Bazaar) -> None:
    anyone, unread = bazaar.shop.anyone, bazaar.shop.product()
    seen, listed = anyone.ok("GET", f"/api/v1/products/{bazaar.product}"), anyone.ok("GET", "/api/v1/products")
    bazaar.operator.souk("stop", "postgres")
    for _ in range(3):
        assert anyone.ok("GET", f"/api/v1/products/{bazaar.product}") == seen
        assert anyone.ok("GET", "/api/v1/products") == listed
    anyone.problem(503, "PRODUCT_UNAVAILABLE", "GET", f"/api/v1/products/{unread}")
    bazaar.operator.souk("start", "postgres")
    until(lambda: anyone.get(f"/api/v1/products/{unread}").status_code == 200, 120, "the catalogue is whole again")
