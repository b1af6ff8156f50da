"""What waits is counted, and named once when it is parked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry
from soukapi.v1.event_pb2 import Event
from structlog.testing import capture_logs

from souk.events.broker import BrokerUnavailable
from souk.events.pubsub.subscriber import Subscriber
from souk.events.relay import Relay
from souk.kernel.clock import SystemClock
from souk.kernel.errors import PoisonedEvent
from souk.runtime.calls.backlog import Backlog, BrokerCount, RunRecords
from souk.runtime.calls.metrics import InboxRepeats
from souk.saga.runner import SagaRunner, SagaSettings
from souk.store.database import Transaction
from souk.store.inbox import Inbox
from souk.testing.relaying import Listener, World, eventually, running
from souk.testing.saga_suite import REFUSE, Shop
from souk.testing.two_phase import losing_coordinator

QUICK = SagaSettings(claim=0.02, poll=0.02, pause=0.002)


def poisoned(event: Event) -> None:
    raise PoisonedEvent("no number")


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    shop = await Shop.open(tmp_path)
    yield shop
    await shop.close()


@asynccontextmanager
async def watched(relay: Relay, *runs: RunRecords) -> AsyncIterator[CollectorRegistry]:
    registry = CollectorRegistry()
    task = asyncio.create_task(Backlog(registry).watch("order", relay, runs, every=0.01))
    yield registry
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def shows(registry: CollectorRegistry, name: str, value: float, **labels: str) -> None:
    async def check() -> bool:
        return registry.get_sample_value(name, {"service": "order", **labels}) == value

    await eventually(check)


async def test_parked_steps_are_counted_apart_and_named_once(shop: Shop) -> None:
    runner = SagaRunner(shop.database, [shop.saga()], SystemClock(), "A", QUICK, service="order")
    shop.depot.does.append(REFUSE)
    with capture_logs() as logs:
        async with watched(World(shop.database).relay(), runner) as registry:
            await shop.start(runner)
            await shows(registry, "souk_saga_runs", 1, saga="place", phase="parked")
            shop.depot.does.append(REFUSE)
            await shop.start(runner, "O-2")
            await shows(registry, "souk_saga_runs", 2, saga="place", phase="parked")
    named = [(record["subject"], record["step"]) for record in logs if record["event"].startswith("parked")]
    assert named == [("O-1", "ship"), ("O-2", "ship")]
    await runner.close()


async def test_a_commit_that_is_refused_is_counted_beside_the_sagas_and_named(shop: Shop) -> None:
    runner = SagaRunner(shop.database, [shop.saga()], SystemClock(), "A", QUICK, service="order")
    coordinator = losing_coordinator(shop.database)
    shop.depot.does.append(REFUSE)
    with capture_logs() as logs:
        async with watched(World(shop.database).relay(), runner, coordinator) as registry:
            await shop.start(runner)
            await shows(registry, "souk_saga_runs", 1, saga="place", phase="parked")
            await shop.database.run(lambda tx: coordinator.start(tx, "pay", "O-2", 1, b""))
            await shows(registry, "souk_saga_runs", 1, saga="pay", phase="parked")
    named = [(record["subject"], record["step"]) for record in logs if record["event"].startswith("parked")]
    assert named == [("O-1", "ship"), ("O-2", "charge")]
    await runner.close()
    await coordinator.close()


async def test_an_open_run_is_counted_until_it_ends(shop: Shop) -> None:
    runner = SagaRunner(shop.database, [shop.saga()], SystemClock(), "A", QUICK, service="order")
    gate = asyncio.Event()
    shop.bank.does.append(gate)
    async with watched(World(shop.database).relay(), runner) as registry:
        ref = await shop.start(runner)
        await shows(registry, "souk_saga_runs", 1, saga="place", phase="running")
        gate.set()
        await runner.wait_ended(ref, SystemClock().monotonic() + 10)
        await eventually(lambda: _gone(registry, phase="running"))
    await runner.close()


async def _gone(registry: CollectorRegistry, phase: str) -> bool:
    labels = {"service": "order", "saga": "place", "phase": phase}
    return registry.get_sample_value("souk_saga_runs", labels) is None


async def test_events_are_counted_as_pending_and_parked(shop: Shop) -> None:
    world = World(shop.database)
    relay = world.relay(("mail", "all"))
    await world.services.start("mail", {"all": Listener(poisoned)})
    await world.publish(1, 2)
    with capture_logs() as logs:
        async with watched(relay) as registry:
            await shows(registry, "souk_outbox_events", 2, consumer="mail/all", state="pending")
            assert registry.get_sample_value("souk_outbox_lag_seconds", {"service": "order", "consumer": "mail/all"})
            async with running(relay):
                await shows(registry, "souk_outbox_events", 2, consumer="mail/all", state="parked")
            await shows(registry, "souk_outbox_events", 0, consumer="mail/all", state="pending")
            await shows(registry, "souk_outbox_lag_seconds", 0, consumer="mail/all")
    named = [record["reason"] for record in logs if record["event"].startswith("parked")]
    assert named == ["no number", "no number"]
    await world.services.close()


class CountingBroker:
    """A broker that has some events for each group, unless it is `away`."""

    system = "test"

    def __init__(self) -> None:
        self.away = False

    async def backlog(self, topic: str, group: str) -> int:
        if self.away:
            raise BrokerUnavailable("away")
        return len(topic)

    @property
    def backlog_means(self) -> str:
        return "counted by letters"


async def test_what_a_broker_still_has_is_shown_while_it_is_known() -> None:
    broker, registry, types = CountingBroker(), CollectorRegistry(), ("shop.order.v1.OrderConfirmed",)
    mails: Any = Subscriber(cast(Any, broker), "mail", "all", types, cast(Any, None), cast(Any, None), SystemClock())
    labels = {"service": "mail", "consumer": "mail/all", "topic": "shop.order"}

    async def is_shown(events: float | None) -> None:
        async def check() -> bool:
            return registry.get_sample_value("souk_broker_events", labels) == events

        await eventually(check)

    backlog = Backlog(registry)
    task = asyncio.create_task(backlog.watch_broker("mail", [mails], every=0.01))
    await is_shown(10)
    assert backlog.at_broker() == [BrokerCount("mail/all", "shop.order", 10, "counted by letters")]
    broker.away = True
    await is_shown(None)
    assert backlog.at_broker() == [BrokerCount("mail/all", "shop.order", None, "the broker does not say it: away")], (
        "what is not known must not look like nothing"
    )
    broker.away = False
    await is_shown(10)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_events_that_come_again_are_counted_once_their_transaction_has_committed(shop: Shop) -> None:
    inbox, registry = Inbox(), CollectorRegistry()
    registry.register(InboxRepeats({"order": inbox}))

    async def fails(tx: Transaction) -> None:
        await inbox.first_time(tx, "refunds", "EVT-1")
        raise ZeroDivisionError

    for _ in range(3):
        await shop.database.run(lambda tx: inbox.first_time(tx, "refunds", "EVT-1"))
    with pytest.raises(ZeroDivisionError):
        await shop.database.run(fails)
    labels = {"service": "order", "consumer": "order/refunds"}
    assert registry.get_sample_value("souk_inbox_repeats_total", labels) == 2
