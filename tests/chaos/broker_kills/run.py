"""One run: buyers order from a fleet while its broker is killed and comes back; then all that follows is counted."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import ExitStack
from pathlib import Path

from shop.order.v1.order_events_pb2 import OrderConfirmed

from souk.testing.servers.opensearch import OpenSearchServer
from souk.testing.system import System, fleet
from tests.chaos.broker_kills.catalogue import Catalogue, search_url
from tests.chaos.broker_kills.report import Followed, KillReport
from tests.chaos.brokers import Broker, broker_of
from tests.market.books import Books
from tests.market.buyers import Crowd, Wishes
from tests.market.invariants import await_rest, violations
from tests.market.operator import Operator
from tests.market.shop import Shop
from tests.marketplace.notification.mail_server import MailServer

CLIENTS, BUYERS = 8, 4
PRICE, STOCK = 1_200, 1_000_000
PATIENCE = 300.0
"""Seconds in which all must have followed from the last order."""
AWAY = 2.0
"""Seconds for which a broker outside of the fleet stays away, before it is started again."""
POLL = 0.2


async def strike(name: str, folder: Path, orders: int, kills: int) -> KillReport:
    """Runs a fleet with this broker, has `orders` orders placed, and kills the broker `kills` times meanwhile."""
    with ExitStack() as stack:
        broker, mails = broker_of(name, folder / "broker"), MailServer()
        stack.callback(broker.close)
        engine = stack.enter_context(OpenSearchServer(folder / "search"))
        await broker.start()
        await engine.start()
        await mails.start()
        settings = {
            "SOUK_NOTIFICATION_SMTP": f"smtp://{mails.host}:{mails.port}",
            "SOUK_SEARCH": search_url(engine),
            "SOUK_LOG_LEVEL": "warning",
        }
        system = stack.enter_context(fleet(folder, arguments=broker.arguments, settings=settings))
        report, shop = KillReport(name, orders), Shop("fleet", system.url, system.data)
        stack.callback(shop.close)
        catalogue = Catalogue(shop, engine, orders)
        await _buy(system, shop, catalogue, broker, report, kills)
        await Count(Books(system.data), mails, catalogue).into(report)
        await mails.stop()
        return report


async def _buy(
    system: System, shop: Shop, catalogue: Catalogue, broker: Broker, report: KillReport, kills: int
) -> None:
    buyers = await asyncio.to_thread(lambda: [shop.buyer() for _ in range(BUYERS)])
    product = await asyncio.to_thread(shop.product, PRICE, STOCK)
    await asyncio.to_thread(catalogue.fill)
    operator, began = Operator(system.data), time.monotonic()
    wishes = Wishes(buyers, [(product, 1, PRICE)], "kills")
    with Crowd(system.url, wishes, clients=CLIENTS, most=report.orders) as crowd:
        async with asyncio.TaskGroup() as group:
            group.create_task(catalogue.follow(lambda: len(crowd.answers)))
            for number in range(1, kills + 1):
                share = report.orders * number // (kills + 1)
                await _until(lambda share=share: len(crowd.answers) >= share, PATIENCE * 4)  # type: ignore[misc]
                report.outages.append(await _kill(broker, operator))
            await asyncio.to_thread(crowd.finish)
    report.took, report.changed = time.monotonic() - began, len(catalogue.changed)
    ends = [answers[-1] for answers in crowd.ends().values() if answers]
    report.confirmed = sum(one.outcome == (201, "CONFIRMED") for one in ends)


async def _kill(broker: Broker, operator: Operator) -> float:
    """Kills the broker and has it come back; returns for how many seconds it was away."""
    await broker.kill(operator)
    began = time.monotonic()
    if broker.is_outside:
        await asyncio.sleep(AWAY)
        await broker.come_back()
    else:
        await asyncio.to_thread(operator.await_ready)
    return time.monotonic() - began


class Count:
    """Counts what followed from the orders and the changes of a run, once there are no more of them."""

    def __init__(self, books: Books, mails: MailServer, catalogue: Catalogue) -> None:
        self._books, self._mails, self._catalogue = books, MailCount(mails), catalogue

    async def into(self, report: KillReport) -> None:
        """Waits until all has followed, and reports what is missing, came twice, or is inconsistent."""
        events = await asyncio.to_thread(self._books.events)
        confirmed = [event for event in events if event["type"] == OrderConfirmed.DESCRIPTOR.full_name]
        due, orders = {event["id"] for event in confirmed}, {event["key"] for event in confirmed}
        changed = set(self._catalogue.changed)
        await asyncio.gather(
            _follow(report.mails, due, lambda: due - self._mails.now().keys()),
            _follow(report.index, changed, lambda: self._catalogue.stale(self._books)),
            _follow(report.revenue, orders, lambda: orders - self._counted()),
        )
        await asyncio.to_thread(await_rest, self._books, PATIENCE)
        report.violations = await asyncio.to_thread(lambda: violations(self._books, letters=False))
        found = self._mails.now()
        report.repeats = sum(found.values()) - len(found)
        report.violations += [f"the mail {one} is about no event" for one in found.keys() - {e["id"] for e in events}]

    def _counted(self) -> set[str]:
        """Gives the orders with one place in the figures that are read."""
        sql = (
            "SELECT order_id FROM facts WHERE kind = 'confirmed' AND generation ="
            " (SELECT generation FROM souk_generation WHERE projection = 'figures' AND is_live)"
        )
        places = Counter(row["order_id"] for row in self._books.rows("analytics", sql))
        return {order for order, number in places.items() if number == 1}


async def _follow(report: Followed, due: Collection[str], missing: Callable[[], Collection[str]]) -> None:
    """Waits until nothing is missing. What is missing may be more than what is due, such as a product of the demo."""
    began = time.monotonic()
    while (left := await asyncio.to_thread(missing)) and time.monotonic() < began + PATIENCE:
        await asyncio.sleep(POLL)
    report.after, report.missing = time.monotonic() - began, sorted(left)
    report.came = len(set(due) - set(left))


class MailCount:
    """Counts mails by the event that their Message-ID names, each once: the server shares the loop with the count."""

    def __init__(self, mails: MailServer) -> None:
        self._mails, self._seen = mails, 0
        self._events = Counter[str]()

    def now(self) -> Counter[str]:
        """Gives the count so far."""
        new = self._mails.mails[self._seen :]
        self._seen += len(new)
        self._events.update(str(mail["message-id"]).strip("<>").partition("@")[0] for mail in new)
        return self._events


async def _until(happened: Callable[[], bool], limit: float) -> None:
    ends = time.monotonic() + limit
    while not happened() and time.monotonic() < ends:
        await asyncio.sleep(POLL / 4)
