"""One run: buyers use a fleet while faults are injected; then all faults are healed, and every result is compared."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from souk.runtime.data.layout import DataLayout
from souk.supervisor.backing_processes import BUS
from souk.testing.system import System, fleet_process
from tests.chaos.bank import Bank
from tests.chaos.brokers import Broker, broker_of
from tests.chaos.clients import CARDS, Client, Market, read_catalogue
from tests.chaos.faults import FAULTS, Fault, Target
from tests.chaos.history import History
from tests.chaos.model import contradictions, differences
from tests.chaos.nemesis import Nemesis
from tests.chaos.report import Report, report_of
from tests.market.books import Books
from tests.market.invariants import await_rest, violations
from tests.market.operator import Operator
from tests.market.shop import Shop

CLOCK = Path(__file__).parent / "clock"
CLIENTS = 6
SCALE = ("--scale", "order=2,payment=2")
STOCK, SCARCE = 1_000_000, 40
PRICES = (700, 1_200, 2_500)
LAST_ANSWER, REST, PAUSE = 120.0, 120.0, 1.0
"""Seconds in which every client has a definite answer once all is healed, and in which nothing goes on any more."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What a run does. `folder` may be a small file system of its own, which a fault can then fill. `broker` is one of
    BROKERS."""

    folder: Path
    seconds: float
    seed: int
    small_disk: bool = False
    kinds: Sequence[type[Fault]] = FAULTS
    broker: str = BUS


def run(plan: Plan, progress: Progress) -> Report:
    """Runs it; the report has the faults, what each cost, and every violation."""
    outside = plan.folder.parent / f"{plan.folder.name}-outside"
    clocks = outside / "clocks"
    clocks.mkdir(parents=True)
    clocks.chmod(0o755)
    bank, broker = Bank(outside), broker_of(plan.broker, outside / "broker")
    return asyncio.run(_run(plan, bank, broker, clocks, progress))


async def _run(plan: Plan, bank: Bank, broker: Broker, clocks: Path, progress: Progress) -> Report:
    settings = {
        "SOUK_PAYMENT_PROVIDER_URL": bank.url,
        "SOUK_PAYMENT_PROVIDER_KEY_FILE": str(bank.key_file),
        "PYTHONPATH": str(CLOCK),
        "CHAOS_CLOCK": str(clocks),
        "SOUK_LOG_LEVEL": "warning",
    }
    try:
        await bank.open()
        await broker.start()
        async with _fleet(plan.folder, clocks.parent, settings, broker.arguments) as system:
            return await _strike(plan, system, bank, broker, clocks, progress)
    finally:
        broker.close()
        await bank.close()


@asynccontextmanager
async def _fleet(folder: Path, logs: Path, settings: dict[str, str], arguments: Sequence[str]) -> AsyncIterator[System]:
    data = folder / "data"
    up = fleet_process(data, logs, r"is ready on (?P<url>http://\S+)", *SCALE, *arguments)
    system = System("fleet", data, [up], settings)
    try:
        await asyncio.to_thread(system.start)
        yield system
    finally:
        system.kill()
        DataLayout(data).forget_sockets()


async def _strike(plan: Plan, system: System, bank: Bank, broker: Broker, clocks: Path, progress: Progress) -> Report:
    operator, shop, history = Operator(system.data), Shop("fleet", system.url, system.data), History()
    stop, chance = asyncio.Event(), random.Random(plan.seed)
    clients = await asyncio.to_thread(_clients, shop, history, chance, stop)
    target = Target(system.data, operator, system.parts[0].pid, bank, broker, clocks, plan.small_disk)
    nemesis = Nemesis(target, random.Random(plan.seed), plan.kinds)
    progress(f"{len(clients)} buyers are buying")
    async with httpx.AsyncClient(base_url=system.url, trust_env=False, limits=_LIMITS) as http:
        async with asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(client.work(http))
            group.create_task(read_catalogue(http, history, stop, clients[0].market.products[0][0]))
            await nemesis.work(plan.seconds)
            progress(f"{len(nemesis.injected)} faults were injected; all is healed, and must come right")
            stop.set()
        await asyncio.to_thread(operator.start_stopped)
        await asyncio.to_thread(operator.await_ready)
        await asyncio.gather(*(client.finish(http, LAST_ANSWER) for client in clients))
    found = await asyncio.to_thread(_compare, Books(system.data, bank.book), broker, clients, history)
    await asyncio.to_thread(shop.close)
    return report_of(plan.seed, plan.seconds, history, nemesis, found)


_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=32)


def _clients(shop: Shop, history: History, chance: random.Random, stop: asyncio.Event) -> list[Client]:
    products = [(shop.product(price, STOCK), price) for price in PRICES]
    market = Market(shop, products, (shop.product(500, SCARCE), 500))
    clients = []
    for number in range(CLIENTS):
        buyer = shop.buyer(None)
        methods = {token: str(buyer.save_card(token)["id"]) for token in CARDS}
        name = f"client-{number}"
        clients.append(Client(name, buyer, market, history, random.Random(chance.random()), methods, stop))
    return clients


def _compare(books: Books, broker: Broker, clients: Sequence[Client], history: History) -> list[str]:
    """Finds every violation: in the answers, in the databases, and between the two."""
    found = [*history.wrong, *contradictions(history)]
    try:
        await_rest(books, REST)
    except AssertionError as error:
        return [*found, str(error)]
    orders = {order["id"]: order for client in clients for order in _orders(client)}
    wallets = {client.name: int(client.buyer.ok("GET", "/api/v1/wallet")["balance"]) for client in clients}
    return [*found, *differences(history, orders, wallets), *_lasting(books, broker)]


def _lasting(books: Books, broker: Broker) -> list[str]:
    """Finds what is violated. What a broker outside of the fleet has still to deliver is not in the books, so what is
    missing with one may come until REST is over."""
    ends = time.monotonic() + (REST if broker.is_outside else 0.0)
    while (found := violations(books)) and time.monotonic() < ends:
        time.sleep(PAUSE)
    return found


def _orders(client: Client) -> list[dict[str, object]]:
    return [order for page in client.buyer.pages("/api/v1/orders", 100) for order in page]
