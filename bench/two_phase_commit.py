"""Two-phase commit beside the saga: orders that wallets pay, on the same PostgreSQL, in turns.

One server, which flushes every commit, has the databases of all services; the marketplace runs on it in one process
and is started anew for each turn, with the one coordinator and then with the other. Then its process dies between the
charge and the decision, and a second writer waits for the row of the product that the order was for.
"""

import asyncio
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from bench.api_client import Client
from bench.figures import Figure, Section, median, progress
from bench.system import System, running
from souk.backing.postgres.binaries import find_binaries
from souk.kernel.errors import SoukError
from souk.runtime.config import entry_points
from souk.testing.postgres import TemporaryPostgres

BUYERS = 16
MONEY = 100_000_000
COORDINATORS = ("saga", "two-phase-commit")
DIES_AT = {"saga": "place-order/charge payment/do/after", "two-phase-commit": "place-order/decided/before"}
ALONE = 15.0
"""Seconds for which nobody takes over after the death."""
_PASSWORD = "bench-0815"
_HOT = "P-101"
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Buyer:
    """A buyer with money: the token, the address, and the product that it buys when all buy different ones."""

    token: str
    address: str
    product: str


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn gave: orders per second and latencies in ms."""

    per_second: float
    p50: float
    p99: float
    refused: int


def measure(folder: Path, *, seconds: float, rounds: int) -> list[Section]:
    """Measures both coordinators, in turns."""
    section = Section("two-phase-commit")
    with _server() as server:
        environment = {"SOUK_POSTGRES": server.service_url("{service}", _PASSWORD), "SOUK_POSTGRES_POOL": "10"}
        found: dict[tuple[str, bool], list[Turn]] = {}
        for number in range(rounds):
            for coordinator in COORDINATORS:
                progress(f"two-phase-commit: {coordinator}, {number + 1} of {rounds}")
                chosen = {**environment, "SOUK_ORDER_COORDINATOR": coordinator}
                with running(folder / "2pc", environment=chosen) as system:
                    buyers = _buyers(system)
                    _turn(system, buyers, seconds / 3, hot=False)
                    for hot in (False, True):
                        found.setdefault((coordinator, hot), []).append(_turn(system, buyers, seconds, hot=hot))
        for hot in (False, True):
            _report(section, found, hot=hot)
        for coordinator in COORDINATORS:
            chosen = {**environment, "SOUK_ORDER_COORDINATOR": coordinator}
            _locks(section, folder, server, chosen, coordinator)
    section.details = {f"{name}, {'one product' if hot else 'many'}": turns for (name, hot), turns in found.items()}
    return [section]


def _report(section: Section, found: dict[tuple[str, bool], list[Turn]], *, hot: bool) -> None:
    what = f"{BUYERS} buyers of one product" if hot else f"{BUYERS} buyers, each of another product"
    saga, other = (found[name, hot] for name in COORDINATORS)
    pairs = list(zip(saga, other, strict=True))
    ratio = median(two.per_second / one.per_second for one, two in pairs)
    section.add(
        Figure(f"saga, {what}", median(one.per_second for one in saga), "orders/s"),
        Figure("  half of them answered within", median(one.p50 for one in saga), "ms"),
        Figure("  99 of 100 answered within", median(one.p99 for one in saga), "ms"),
        Figure("two-phase commit, the same", median(two.per_second for two in other), "orders/s", "saga", ratio),
        Figure(
            "  half of them answered within",
            median(two.p50 for two in other),
            "ms",
            "saga",
            median(two.p50 / one.p50 for one, two in pairs),
        ),
        Figure(
            "  99 of 100 answered within",
            median(two.p99 for two in other),
            "ms",
            "saga",
            median(two.p99 / one.p99 for one, two in pairs),
        ),
    )


@contextmanager
def _server() -> Iterator[TemporaryPostgres]:
    binaries = find_binaries()
    if binaries is None:
        raise LookupError("no PostgreSQL is installed")
    durable = {"fsync": "on", "full_page_writes": "on", "max_connections": "150", "max_prepared_transactions": "64"}
    server = TemporaryPostgres(binaries, **durable)
    with ExitStack() as stack:
        stack.callback(server.remove)
        server.start()
        names = [service.name for service in entry_points.app(None).services if service.migrations is not None]
        asyncio.run(_databases(server, names))
        yield server


async def _databases(server: TemporaryPostgres, names: Sequence[str]) -> None:
    for name in names:
        await server.create_service_database(name, _PASSWORD)


def _buyers(system: System) -> list[Buyer]:
    admin, run = system.token("admin"), uuid.uuid4().hex[:8]
    for number in range(BUYERS):
        body = {"delta": 1_000_000, "reason": "bench", "idempotencyKey": f"{run}-{number}"}
        system.call("POST", f"/api/v1/stock/P-{101 + number}:adjust", body, admin)
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda number: _buyer(system, run, number), range(BUYERS)))


def _buyer(system: System, run: str, number: int) -> Buyer:
    login = {"email": f"{run}-{number}@bench.test", "password": "bench-password"}
    system.call("POST", "/api/v1/users", {**login, "name": "Buyer"})
    token = str(system.call("POST", "/api/v1/auth/token", login)["accessToken"])
    home = {"name": "Buyer", "line1": "Street 1", "city": "Town", "postalCode": "12345", "country": "DE"}
    address = str(system.call("POST", "/api/v1/addresses", home, token)["id"])
    money = {"amount": MONEY, "currency": "EUR", "cardToken": "tok_visa", "idempotencyKey": "money"}
    system.call("POST", "/api/v1/wallet:topUp", money, token)
    return Buyer(token, address, f"P-{101 + number}")


def _turn(system: System, buyers: Sequence[Buyer], seconds: float, *, hot: bool) -> Turn:
    prices = _prices(system)
    until, began = time.monotonic() + seconds, time.monotonic()

    def buy(buyer: Buyer) -> tuple[list[float], int]:
        client, times, refused = Client(f"http://127.0.0.1:{system.port}", buyer.token), [], 0
        while (start := time.monotonic()) < until:
            try:
                client.call("POST", "/api/v1/orders", _order(buyer, _HOT if hot else buyer.product, prices))
                times.append((time.monotonic() - start) * 1_000)
            except SoukError:
                refused += 1
        client.close()
        return times, refused

    with ThreadPoolExecutor(len(buyers)) as pool:
        results = list(pool.map(buy, buyers))
    spent = time.monotonic() - began
    times = sorted(each for one, _ in results for each in one)
    return Turn(len(times) / spent, _at(times, 0.5), _at(times, 0.99), sum(refused for _, refused in results))


def _prices(system: System) -> dict[str, int]:
    ids = [f"P-{101 + number}" for number in range(BUYERS)]
    return {each: int(system.call("GET", f"/api/v1/products/{each}")["price"]) for each in ids}


def _at(times: Sequence[float], share: float) -> float:
    return times[min(len(times) - 1, int(len(times) * share))] if times else float("nan")


def _order(buyer: Buyer, product: str, prices: dict[str, int]) -> dict[str, Any]:
    return {
        "items": [{"productId": product, "quantity": 1, "price": prices[product]}],
        "shippingAddressId": buyer.address,
        "paymentMethod": "wallet",
        "idempotencyKey": uuid.uuid4().hex,
    }


def _locks(section: Section, folder: Path, server: TemporaryPostgres, chosen: dict[str, str], coordinator: str) -> None:
    progress(f"two-phase-commit: the coordinator dies, {coordinator}")
    _die(folder, server, chosen, coordinator)
    alone = asyncio.run(_waits(server, ALONE))
    section.add(Figure(f"row locked after the death, nobody takes over: {coordinator}", alone, "s"))
    if alone >= ALONE:
        section.notes.append(
            f"{coordinator}: still locked after {ALONE:g} s; without somebody who takes over, for ever"
        )
    _die(folder, server, chosen, coordinator)
    waited: list[float] = []
    waiter = threading.Thread(target=lambda: waited.append(asyncio.run(_waits(server, _PATIENCE))))
    waiter.start()
    with running(folder / "2pc", environment=chosen):
        waiter.join()
    section.add(Figure(f"  started again at once: {coordinator}", waited[0], "s"))


def _die(folder: Path, server: TemporaryPostgres, chosen: dict[str, str], coordinator: str) -> None:
    with running(folder / "2pc", environment=chosen):
        asyncio.run(_at_rest(server))  # or what is left from before would strike the fault point
    armed = {**chosen, "SOUK_FAULTS": f"{DIES_AT[coordinator]}=0"}
    with running(folder / "2pc", environment=armed) as system:
        buyer = _buyers(system)[0]
        prices = _prices(system)
        try:
            system.call("POST", "/api/v1/orders", _order(buyer, _HOT, prices), buyer.token)
        except SoukError:  # it died before it answered
            system.process.wait(60)


async def _at_rest(server: TemporaryPostgres) -> None:
    connection = await asyncpg.connect(server.service_url("order", _PASSWORD))
    still_open = """SELECT (SELECT count(*) FROM souk_saga_run WHERE NOT ended)
                         + (SELECT count(*) FROM souk_two_phase_run WHERE NOT ended)"""
    try:
        async with asyncio.timeout(_PATIENCE):
            while await connection.fetchval(still_open):
                await asyncio.sleep(0.2)
    finally:
        await connection.close()


async def _waits(server: TemporaryPostgres, limit: float) -> float:
    """Waits for the row as a second order does; gives the seconds that it took, or `limit` if it was in vain."""
    connection = await asyncpg.connect(server.service_url("inventory", _PASSWORD))
    began = time.monotonic()
    try:
        await connection.execute(f"SET lock_timeout = {round(limit * 1_000)}")
        await connection.execute("UPDATE stock SET available = available WHERE product_id = $1", _HOT)
    except asyncpg.LockNotAvailableError:
        return limit
    finally:
        await connection.close()
    return time.monotonic() - began
