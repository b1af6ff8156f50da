"""Helpers for tests of the relay: services that consume events, and a relay that runs inside a block."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
from google.protobuf.wrappers_pb2 import Int64Value
from soukapi.v1.event_pb2 import DeliverResponse, Event
from soukapi.v1.event_pb2_grpc import add_EventSinkServicer_to_server

from souk.events.consumer import EventSinkServicer, Handler
from souk.events.delivery import DeliverySettings
from souk.events.envelope import unpack
from souk.events.relay import Relay, RelaySettings
from souk.events.sender import AfterParked, EventSender, Route
from souk.events.store import NO_TYPE
from souk.faults import INERT, Faults
from souk.kernel.addresses import LOOPBACK
from souk.kernel.clock import Clock, SystemClock
from souk.kernel.context import CallContext, Caller, use
from souk.resilience.backoff import Backoff
from souk.store.database import Database, Row, Transaction
from souk.store.outbox import Outbox

NUMBER = Int64Value.DESCRIPTOR.full_name
"""The type of the events that `publish` makes."""


@dataclass
class Listener:
    """A handler that records the events it handled; `react` may raise to fail one."""

    react: Callable[[Event], None] = lambda event: None
    received: list[Event] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def __call__(self, event: Event) -> None:
        try:
            self.react(event)
        finally:
            async with self._changed:
                self._changed.notify_all()
        self.received.append(event)

    @property
    def numbers(self) -> list[int]:
        """The payloads of the handled events, in order."""
        return [unpack(event, Int64Value).value for event in self.received]

    async def until(self, check: Callable[[], bool], seconds: float = 120.0) -> None:
        """Waits until `check` holds; it is called after each event."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(check)

    async def has(self, *numbers: int) -> None:
        """Waits until exactly these were handled, in this order."""
        await self.until(lambda: len(self.numbers) >= len(numbers))
        assert self.numbers == list(numbers)


class _Sink(EventSinkServicer):
    """Accepts calls without a token, as if they came from the events' source service."""

    async def Deliver(self, request: Any, context: Any) -> DeliverResponse:
        with use(CallContext(caller=Caller(service="source"))):
            return await super().Deliver(request, context)


class Services:
    """Services that consume events; each is a gRPC server on a loopback port, running or stopped."""

    def __init__(self) -> None:
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._servers: dict[str, grpc.aio.Server] = {}
        self._ports: dict[str, int] = {}

    async def start(self, name: str, consumers: Mapping[str, Handler]) -> None:
        """Starts a service, on its old port if it ran before."""
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        add_EventSinkServicer_to_server(_Sink(consumers), server)
        self._ports[name] = server.add_insecure_port(f"{LOOPBACK}:{self._ports.get(name, 0)}")
        await server.start()
        self._servers[name] = server

    async def stop(self, name: str) -> None:
        """Stops a service at once."""
        await self._servers.pop(name).stop(None)

    def channel(self, name: str) -> grpc.aio.Channel:
        """Returns a channel to a service, whether it runs or not."""
        if name not in self._channels:
            options = [("grpc.initial_reconnect_backoff_ms", 20), ("grpc.max_reconnect_backoff_ms", 50)]
            self._channels[name] = grpc.aio.insecure_channel(f"{LOOPBACK}:{self._ports[name]}", options=options)
        return self._channels[name]

    async def close(self) -> None:
        """Stops all services and closes the channels."""
        for channel in self._channels.values():
            await channel.close()
        for name in list(self._servers):
            await self.stop(name)


QUICK = RelaySettings(delivery=DeliverySettings(backoff=Backoff(0.01, 0.05), poll=0.1), poll=0.1, linger=0.0, lease=5.0)
"""Settings with short waits."""


class World:
    """One database with an outbox, and the services that consume its events."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.outbox = Outbox("source", SystemClock())
        self.services = Services()

    def relay(
        self,
        *consumers: tuple[str, str],
        owner: str = "relay-1",
        settings: RelaySettings = QUICK,
        sender: EventSender | None = None,
        broker: EventSender | None = None,
        elsewhere: Collection[str] = (),
        faults: Faults = INERT,
        types: tuple[str, ...] = (NUMBER,),
        clock: Clock | None = None,
        after_parked: AfterParked = "pass",
        retentions: Mapping[str, float] = NO_TYPE,
    ) -> Relay:
        """Makes a relay to these pairs (service, consumer); it does not run yet."""
        return Relay(
            self.database,
            [(service, Route(service, consumer, types, after_parked)) for service, consumer in consumers],
            self.services.channel,
            owner,
            clock or SystemClock(),
            source="source",
            settings=settings,
            sender=sender,
            broker=broker,
            elsewhere=elsewhere,
            retentions=retentions,
            faults=faults,
        )

    async def publish(self, *numbers: int, key: str = "k", event_id: str | None = None) -> None:
        """Publishes numbers as events of one key, each in a transaction of its own."""
        for number in numbers:

            async def work(tx: Transaction, number: int = number) -> None:
                await self.outbox.publish(tx, key, Int64Value(value=number), event_id=event_id)

            await self.database.run(work)

    async def rows(self, sql: str) -> list[Row]:
        """Returns the rows of a query."""
        return await self.database.read(lambda tx: tx.fetch(sql))

    async def all_delivered(self) -> bool:
        """Tells whether every event was routed and delivered."""
        # In this order: an event that is routed between the two reads is in the second.
        unrouted = await self.rows("SELECT seq FROM souk_outbox WHERE NOT routed")
        return not unrouted and not await self.rows("SELECT seq FROM souk_outbox_delivery WHERE state <> 'delivered'")


@asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[Relay]:
    """Runs a relay inside the block; its error, if it fails, is raised at the end."""
    task = asyncio.ensure_future(relay.run())
    try:
        yield relay
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def eventually(check: Callable[[], Awaitable[bool]], seconds: float = 120.0) -> None:
    """Polls until `check` holds, for conditions that nothing signals."""
    async with asyncio.timeout(seconds):
        while not await check():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
