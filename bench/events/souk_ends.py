"""Souk's ends: the adapter of a broker by itself, and from the outbox to a consumer with an inbox."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc.aio
from soukapi.v1 import event_pb2
from soukapi.v1.event_pb2 import DeliveryResult, Event

from bench.events.ends import Note
from bench.events.messages import CONSUMER, GROUP, SERVICE, batches, events, key_of, payload_of, type_of
from souk.events.brokers.by_url import open_broker
from souk.events.causes import Cause
from souk.events.consumer import EventSinkServicer
from souk.events.direct import DirectSender
from souk.events.pubsub.publisher import BrokerPublisher
from souk.events.pubsub.subscriber import Subscriber
from souk.events.relay import Relay
from souk.events.sender import EventSender, Route
from souk.kernel.clock import SystemClock
from souk.rpc.caller_token import CallerTokens
from souk.rpc.client.channel import Channel
from souk.rpc.in_process.transport import InProcessTransport
from souk.rpc.server.dispatcher import Dispatcher
from souk.store.database import Database, Transaction
from souk.store.inbox import Inbox
from souk.store.migrations import PLATFORM, migrate, platform_migrations
from souk.store.outbox import Outbox
from souk.store.postgres.database import PostgresDatabase
from souk.store.sqlite.database import SqliteDatabase

_CLOCK = SystemClock()
_TOGETHER = 50
"""Events that `fill` writes in one transaction: it is not measured."""


async def open_database(url: str) -> Database:
    """Opens the database at a URL, or in a file, with the platform's tables."""
    opened = PostgresDatabase.open(url) if url.startswith("postgresql:") else SqliteDatabase.open(Path(url))
    database: Database = await opened
    await migrate(database, platform_migrations(), PLATFORM)
    return database


class AdapterSource:
    """Publishes batches as a relay does, without an outbox."""

    def __init__(self, topic: str, url: str) -> None:
        self._topic = topic
        self._broker = open_broker(url)
        self._batches: list[Sequence[Event]] = []

    async def fill(self, run: str, count: int) -> None:
        await self._broker.declare(self._topic, [GROUP])
        self._batches = batches(events(self._topic, run, range(count)))

    async def send(self) -> None:
        for batch in self._batches:
            stored = await self._broker.publish(self._topic, batch)
            assert len(stored) == len(batch), "the broker has not stored everything"

    async def begin(self) -> None:
        pass

    async def one(self, run: str, number: int) -> float:
        sent = time.monotonic()
        await self._broker.publish(self._topic, events(self._topic, run, range(number, number + 1)))
        return sent

    async def end(self) -> None:
        pass

    async def close(self) -> None:
        await self._broker.close()


class AdapterSink:
    """Consumes with a handler that does nothing."""

    def __init__(self, topic: str, url: str) -> None:
        self._topic = topic
        self._broker = open_broker(url)

    async def run(self, note: Note) -> None:
        async def handle(event: Event) -> None:
            note(event.payload)

        try:
            await self._broker.consume(self._topic, GROUP, handle)
        finally:
            await self._broker.close()


class _Counting:
    """Counts the results of a sender."""

    def __init__(self, sender: EventSender) -> None:
        self._sender = sender
        self.count = 0
        self.reached = asyncio.Event()
        self.aim = 0

    async def hand_over(self, route: Route, found: Sequence[Event]) -> Sequence[DeliveryResult]:
        results = await self._sender.hand_over(route, found)
        self.count += len(results)
        if self.count >= self.aim:
            self.reached.set()
        return results

    async def until(self, aim: int) -> None:
        self.aim = aim
        self.reached.clear()
        if self.count < aim:
            await self.reached.wait()


class OutboxSource:
    """Writes events into an outbox, from which a relay takes them: to the broker, or else to `sender`."""

    def __init__(self, topic: str, database: Database, sender: EventSender, *, broker: bool) -> None:
        self._topic = topic
        self._database = database
        self._outbox = Outbox("source", _CLOCK)
        self._sender = _Counting(sender)
        self._broker = broker
        self._filled = 0
        self._relaying: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, topic: str, database: str, url: str) -> "OutboxSource":
        """Opens an outbox whose events go through the broker at `url`."""
        publisher = BrokerPublisher(open_broker(url), {topic: [GROUP]})
        return cls(topic, await open_database(database), publisher, broker=True)

    async def fill(self, run: str, count: int) -> None:
        self._filled = count

        async def work(tx: Transaction, start: int) -> None:
            for number in range(start, min(start + _TOGETHER, count)):
                await self._outbox.publish(tx, key_of(number), payload_of(self._topic, run, number))

        for start in range(0, count, _TOGETHER):
            await self._database.run(lambda tx, start=start: work(tx, start))

    async def send(self) -> None:
        aim = self._sender.count + self._filled
        await self.begin()
        await self._sender.until(aim)

    async def begin(self) -> None:
        if self._relaying is None:
            mode: Mapping[str, Any] = {"broker" if self._broker else "sender": self._sender}
            route = Route(SERVICE, CONSUMER, (type_of(self._topic),))
            relay = Relay(self._database, [(SERVICE, route)], _no_channel, "bench", _CLOCK, source="source", **mode)
            self._relaying = asyncio.create_task(relay.run())

    async def one(self, run: str, number: int) -> float:
        payload = payload_of(self._topic, run, number)
        # Guarded, as the transactions of a service under load are.
        await self._database.run(lambda tx: self._outbox.publish(tx, key_of(number), payload), guarded=True)
        return time.monotonic()

    async def end(self) -> None:
        if self._relaying is not None:
            relaying, self._relaying = self._relaying, None
            relaying.cancel()
            with suppress(asyncio.CancelledError):
                await relaying

    async def close(self) -> None:
        await self.end()
        await self._database.close()


class InboxConsumer:
    """Handles each event in a transaction that marks it in the inbox."""

    def __init__(self, database: Database, note: Note) -> None:
        self._database = database
        self._inbox = Inbox()
        self._note = note

    async def handle(self, event: Event) -> None:
        """Handles an event."""
        await self._database.run(lambda tx: self._inbox.first_time(tx, CONSUMER, event.id), guarded=True)
        self._note(event.payload)


class InboxSink:
    """Consumes from a broker into an inbox, as a service does."""

    def __init__(self, topic: str, database: str, url: str) -> None:
        self._topic = topic
        self._database = database
        self._broker = open_broker(url)

    async def run(self, note: Note) -> None:
        database = await open_database(self._database)
        handler = InboxConsumer(database, note).handle
        subscriber = Subscriber(self._broker, SERVICE, CONSUMER, [type_of(self._topic)], handler, _never_parked, _CLOCK)
        try:
            await subscriber.run()
        finally:
            await self._broker.close()
            await database.close()


def calling(topic: str, database: Database, inbox: Database, note: Note) -> OutboxSource:
    """Makes an outbox whose relay calls the consumer in the same process, as in a monolith."""
    dispatcher = Dispatcher(CallerTokens(b"k" * 32, SERVICE, _CLOCK), _CLOCK)
    consumers = {CONSUMER: InboxConsumer(inbox, note).handle}
    dispatcher.add(EventSinkServicer(consumers, clock=_CLOCK), event_pb2.DESCRIPTOR.services_by_name["EventSink"])
    tokens = CallerTokens(b"k" * 32, "source", _CLOCK)
    channel = Channel(InProcessTransport(dispatcher, _CLOCK), tokens=tokens, audience=SERVICE, layers=(), clock=_CLOCK)
    return OutboxSource(topic, database, DirectSender("source", lambda _: channel, _CLOCK), broker=False)


def _no_channel(service: str) -> grpc.aio.Channel:
    raise AssertionError("nothing is called")


async def _never_parked(event: Event, cause: Cause, failures: int) -> None:
    raise AssertionError(f"{event.id} is to be parked: {cause.reason}")
