"""Buyers order from a fleet while its broker is killed and started again; every confirmed order must have its mail.

    .venv/bin/python -m tests.chaos.broker_kills
    .venv/bin/python -m tests.chaos.broker_kills --broker bus --broker kafka --orders 2000 --kills 3 --json report.json

`bus` is the fleet's own, which the supervisor starts again; the others are real servers outside of the fleet. Mails go
to an SMTP server, which counts their Message-IDs. Ends with 1 when a mail is missing or an invariant is violated.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from shop.order.v1.order_events_pb2 import OrderConfirmed

from souk.testing.servers.elasticmq import ElasticMqServer
from souk.testing.servers.engine_server import EngineServer
from souk.testing.servers.kafka import KafkaServer
from souk.testing.servers.rabbitmq import RabbitMqServer
from souk.testing.servers.valkey import DurableValkeyServer
from souk.testing.system import System, fleet
from tests.market.books import Books
from tests.market.buyers import Crowd, Wishes
from tests.market.invariants import await_rest, violations
from tests.market.operator import Operator
from tests.market.shop import Shop
from tests.marketplace.notification.mail_server import MailServer

BUS = "bus"
SERVERS: dict[str, Callable[[Path], EngineServer]] = {
    "valkey": DurableValkeyServer,
    "kafka": KafkaServer,
    "rabbitmq": RabbitMqServer,
    "sqs": ElasticMqServer,
}
CLIENTS, BUYERS = 8, 4
PRICE, STOCK = 1_200, 1_000_000
AWAY = 2.0
"""Seconds for which a broker outside of the fleet stays away."""
PATIENCE = 300.0
"""Seconds in which the last mail must have come."""
POLL = 0.05


@dataclass
class KillReport:
    """What one broker's run gave. Times are in seconds; `mails` are distinct Message-IDs about confirmed orders."""

    broker: str
    orders: int
    confirmed: int = 0
    took: float = 0.0
    until_last_mail: float = 0.0
    outages: list[float] = field(default_factory=list)
    mails: int = 0
    missing: list[str] = field(default_factory=list)
    repeats: int = 0
    violations: list[str] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        """Whether nothing is missing and nothing is wrong."""
        return self.confirmed == self.mails == self.orders and not self.missing and not self.violations

    def line(self) -> str:
        """Gives the report as a row of the table in docs/reliability.md."""
        away = ", ".join(f"{one:.1f} s" for one in self.outages)
        wrong = len(self.violations)
        return (
            f"| {self.broker} | {self.confirmed:,} in {self.took:.0f} s | {len(self.outages)} ({away}) "
            f"| {self.mails:,} | {len(self.missing)} | {self.repeats} | {self.until_last_mail:.1f} s | {wrong} |"
        )


HEAD = (
    "| broker | orders confirmed | kills (away for) | mails | missing | repeated | last mail after the last order "
    "| violations |\n|---|---|---|---|---|---|---|---|"
)


class Victim:
    """The broker of a run: a server of its own, or the fleet's bus."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.server = None if name == BUS else SERVERS[name](folder)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The options of a fleet that uses it."""
        if self.server is None:
            return ()
        if isinstance(self.server, KafkaServer):
            return "--broker", f"kafka://{self.server.address}"
        return "--broker", self.server.url.replace("http:", "sqs:")  # type: ignore[attr-defined]

    async def start(self) -> None:
        """Starts it, before the fleet."""
        if self.server is not None:
            await self.server.start()

    async def kill_and_start(self, operator: Operator) -> float:
        """Kills it and has it come back; returns for how many seconds it was away."""
        began = time.monotonic()
        if self.server is None:
            await asyncio.to_thread(operator.kill, BUS)
            await asyncio.to_thread(operator.await_ready)
        else:
            if isinstance(self.server, RabbitMqServer):
                await self.server.settled()
            self.server.kill()
            await asyncio.sleep(AWAY)
            await self.server.start()
        return time.monotonic() - began

    def close(self) -> None:
        """Ends it."""
        if self.server is not None:
            self.server.kill()


async def strike(name: str, folder: Path, orders: int, kills: int) -> KillReport:
    """Runs a fleet with this broker, has `orders` orders placed, and kills the broker `kills` times meanwhile."""
    with ExitStack() as stack:
        victim, mails = Victim(name, folder / "broker"), MailServer()
        stack.callback(victim.close)
        await victim.start()
        await mails.start()
        settings = {"SOUK_NOTIFICATION_SMTP": f"smtp://{mails.host}:{mails.port}", "SOUK_LOG_LEVEL": "warning"}
        system = stack.enter_context(fleet(folder, arguments=victim.arguments, settings=settings))
        report = KillReport(name, orders)
        await _buy(system, victim, report, kills)
        await _compare(Books(system.data), mails, report)
        await mails.stop()
        return report


async def _buy(system: System, victim: Victim, report: KillReport, kills: int) -> None:
    shop, operator = Shop("fleet", system.url, system.data), Operator(system.data)
    buyers = await asyncio.to_thread(lambda: [shop.buyer() for _ in range(BUYERS)])
    product = await asyncio.to_thread(shop.product, PRICE, STOCK)
    began = time.monotonic()
    wishes = Wishes(buyers, [(product, 1, PRICE)], "kills")
    with Crowd(system.url, wishes, clients=CLIENTS, most=report.orders) as crowd:
        for share in (report.orders * number // (kills + 1) for number in range(1, kills + 1)):
            await _until(lambda share=share: len(crowd.answers) >= share)  # type: ignore[misc]
            report.outages.append(await victim.kill_and_start(operator))
        await asyncio.to_thread(crowd.finish)
    report.took = time.monotonic() - began
    ends = [answers[-1] for answers in crowd.ends().values() if answers]
    report.confirmed = sum(one.outcome == (201, "CONFIRMED") for one in ends)
    await asyncio.to_thread(shop.close)


async def _compare(books: Books, mails: MailServer, report: KillReport) -> None:
    """Waits for the mails, and looks for what is missing, came twice, or is inconsistent."""
    began = time.monotonic()
    events = await asyncio.to_thread(books.events)
    due = {event["id"] for event in events if event["type"] == OrderConfirmed.DESCRIPTOR.full_name}
    counted = MailCount(mails)
    await _until(lambda: due <= counted.now().keys(), PATIENCE)
    report.until_last_mail = time.monotonic() - began
    await asyncio.to_thread(await_rest, books, PATIENCE)
    report.violations = await asyncio.to_thread(lambda: violations(books, letters=False))
    found = counted.now()
    report.mails = len(due & found.keys())
    report.missing = sorted(due - found.keys())
    report.repeats = sum(found.values()) - len(found)
    report.violations += [f"the mail {one} is about no event" for one in found.keys() - {e["id"] for e in events}]


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


async def _until(happened: Callable[[], bool], limit: float = PATIENCE * 4) -> None:
    ends = time.monotonic() + limit
    while not happened() and time.monotonic() < ends:
        await asyncio.sleep(POLL)


def _arguments() -> argparse.Namespace:
    names = (BUS, *SERVERS)
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.broker_kills", description=__doc__.splitlines()[0])
    parser.add_argument("--broker", action="append", choices=names, help=f"one of {', '.join(names)} (default: all)")
    parser.add_argument("--orders", type=int, default=2_000, help="orders for each broker (default 2000)")
    parser.add_argument("--kills", type=int, default=3, help="kills of each broker (default 3)")
    parser.add_argument("--json", type=Path, help="write the reports to this file, too")
    return parser.parse_args()


def main() -> int:
    """Runs the brokers one after the other, prints a table, and returns the exit status."""
    arguments, reports = _arguments(), []
    print(HEAD, flush=True)
    for name in arguments.broker or (BUS, *SERVERS):
        with tempfile.TemporaryDirectory(prefix="souk-kills-", ignore_cleanup_errors=True) as folder:
            reports.append(asyncio.run(strike(name, Path(folder), arguments.orders, arguments.kills)))
        print(reports[-1].line(), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(one) for one in reports], indent=1) + "\n")
    for report in reports:
        print("\n".join(f"{report.broker}: {line}" for line in (*report.missing, *report.violations)[:20]), end="")
    return 0 if all(report.is_well for report in reports) else 1


if __name__ == "__main__":
    sys.exit(main())
