"""The relay: takes events from one service's outbox and delivers them to every consumer.

It delivers at least once, in order for each key and consumer, and never gives up. Several relays may work on one
database: each partition is leased to one. While a consumer's service is unavailable no event is parked; a
poisoned event is parked, and can be replayed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from random import Random

import grpc.aio

from souk.events import parked_store, store
from souk.events.delivery import Delivery, DeliverySettings, wait
from souk.events.direct import DirectSender
from souk.events.leases import Leases
from souk.events.parked_store import DISCARDED, Parked, ParkedDecision
from souk.events.routing import THROUGH_BROKER, with_broker, without_broker
from souk.events.sender import EventSender, Route, SubscriptionLike
from souk.events.store import NO_TYPE, PENDING, Unrouted
from souk.faults import INERT, Faults
from souk.kernel.clock import Clock
from souk.kernel.errors import StoreError
from souk.store.database import Database, Transaction
from souk.store.inbox import Inbox
from souk.store.outbox import CHANNEL
from souk.telemetry.logs import logger

_log = logger("events")

UNKNOWN_DECISION = ParkedDecision("", "")
"""Of a replay by a program, which asks nobody."""

REPLAYED = "souk_outbox_replayed"
"""The database channel that is notified when a parked event becomes pending again."""


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """The settings of a relay. Times are in seconds.

    Events are routed at once, but with `linger` between, so that many are routed together while many come. A broker
    gets up to `broker_batch` events at once, as it takes about as long for many as for a few. Events that every
    consumer has handled are kept until they are as old as their contract says, or `retention` if it is not known; and
    ids in the inbox for `inbox_retention`. `sweep` is how often old ones are deleted. `rare_poll` is how often a
    consumer is looked after that gets no event of this service but what an operator replays, which wakes its delivery.
    """

    delivery: DeliverySettings = field(default_factory=DeliverySettings)
    lease: float = 10.0
    poll: float = 1.0
    rare_poll: float = 60.0
    linger: float = 0.005
    route_batch: int = 500
    broker_batch: int = 1_000
    retention: float = 7 * 86_400.0
    inbox_retention: float = 90 * 86_400.0
    sweep: float = 60.0
    sweep_batch: int = 500


class Relay:
    """Relays the events in the outbox of the service `source`.

    `subscriptions` pairs the name of a consumer's service with the consumer and its event types. `owner` is
    unique to this run of this process. Without a `sender` the relay calls each consumer's service over
    `channel_of(name)`.

    With a `broker` every event goes there once. Still called are the consumers of services `elsewhere`, those that
    wait after a parked event, and what an operator replays.

    `retentions` are the seconds for which contracts keep events, by type: all types that the service publishes;
    NO_TYPE stands for types that are not known.
    """

    def __init__(
        self,
        database: Database,
        subscriptions: Sequence[tuple[str, SubscriptionLike]],
        channel_of: Callable[[str], grpc.aio.Channel],
        owner: str,
        clock: Clock,
        *,
        source: str,
        settings: RelaySettings | None = None,
        sender: EventSender | None = None,
        broker: EventSender | None = None,
        elsewhere: Collection[str] = (),
        retentions: Mapping[str, float] = NO_TYPE,
        faults: Faults = INERT,
        random: Random | None = None,
    ) -> None:
        self._database = database
        self._settings = settings or RelaySettings()
        sender = sender or DirectSender(source, channel_of, clock)
        self._leases = Leases(database, owner, clock, self._settings.lease)
        routes = [Route(service, one.consumer, tuple(one.types), one.after_parked) for service, one in subscriptions]
        self._retentions = retentions
        self._routing = without_broker(routes) if broker is None else with_broker(routes, elsewhere)
        own, random = self._settings.delivery, random or Random()
        shared = (self._leases, owner, clock)
        rare = replace(own, poll=max(own.poll, self._settings.rare_poll))
        self._deliveries = [
            Delivery(route, database, sender, *shared, own if self._may_get(route) else rare, random, faults)
            for route in self._routing.direct
        ]
        if broker is not None:
            many = replace(own, batch=self._settings.broker_batch)
            self._deliveries.append(Delivery(THROUGH_BROKER, database, broker, *shared, many, random, faults))
        self._clock = clock
        self._published = asyncio.Event()

    async def run(self) -> None:
        """Relays events until it is cancelled; then gives its partitions up."""
        with ExitStack() as listening:
            listening.callback(self._database.listen(CHANNEL, self._published.set))
            listening.callback(self._database.listen(REPLAYED, self._wake))
            try:
                await self._until_done(self._adopt)
                async with asyncio.TaskGroup() as tasks:
                    for delivery in self._deliveries:
                        tasks.create_task(delivery.run(), name=f"relay to {delivery.route.name}")
                    tasks.create_task(self._again(self._renew, self._settings.lease / 3), name="relay leases")
                    tasks.create_task(self._again(self._sweep, self._settings.sweep), name="relay sweep")
                    tasks.create_task(self._route_forever(), name="relay routes")
            finally:
                with suppress(StoreError):
                    await self._leases.release()

    async def lag(self) -> dict[str, float]:
        """Returns, for each consumer as "service/consumer", the age in seconds of its oldest event that is due."""
        return await self._database.read(lambda tx: store.lag(tx, self._subscribed_types()))

    async def counts(self) -> dict[tuple[str, str], int]:
        """Counts the events that are `pending` and `parked`, by consumer and state."""
        return await self._database.read(lambda tx: store.counts(tx, self._subscribed_types()))

    async def parked(self, limit: int = 1_000) -> list[Parked]:
        """Returns the parked events, oldest first."""
        return await parked(self._database, limit)

    async def replay(self, event_id: str, consumer: str | None = None) -> int:
        """Sends a parked event again, to one consumer or to all; returns to how many."""
        return await replay(self._database, event_id, consumer)

    def _may_get(self, route: Route) -> bool:
        return bool(route.types) and (
            self._retentions is NO_TYPE or not self._retentions.keys().isdisjoint(route.types)
        )

    def _subscribed_types(self) -> dict[str, Collection[str]]:
        return {delivery.route.name: delivery.route.types for delivery in self._deliveries}

    def _wake(self) -> None:
        for delivery in self._deliveries:
            delivery.wake()

    async def _again(self, work: Callable[[], Awaitable[None]], every: float) -> None:
        while True:
            try:
                await work()
            except StoreError as error:
                _log.warning("the outbox cannot be reached", error=str(error))
            await asyncio.sleep(every)

    async def _until_done(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await work()
            except StoreError as error:
                _log.warning("the outbox cannot be reached", error=str(error))
            await asyncio.sleep(self._settings.poll)

    async def _adopt(self) -> None:
        """Without a broker, takes over what waits for one that the system had before."""
        if not self._routing.always:
            await self._database.run(lambda tx: store.route_again(tx, THROUGH_BROKER.name))

    async def _renew(self) -> None:
        if await self._leases.renew(lambda: frozenset().union(*(delivery.busy for delivery in self._deliveries))):
            self._published.set()
            self._wake()

    async def _route_forever(self) -> None:
        routed = float("-inf")
        while True:
            await wait(self._published, self._settings.poll)
            await asyncio.sleep(max(0.0, routed + self._settings.linger - self._clock.monotonic()))
            routed = self._clock.monotonic()
            self._published.clear()
            try:
                while await self._route_some():
                    pass
            except StoreError as error:
                _log.warning("the outbox cannot be reached", error=str(error))

    async def _route_some(self) -> bool:
        """Routes some events; returns whether there may be more."""
        held, limit = set(self._leases.held), self._settings.route_batch
        if not held:
            return False
        events = await self._database.read(lambda tx: store.unrouted(tx, held, limit), single=True)
        if events:
            # Each delivery is a row of its own, made once: a relay that routes the event at the same time adds none.
            await self._database.run(lambda tx: store.route(tx, events, self._routing.consumers_of), guarded=True)
            self._wake_for(events)
        return len(events) == limit

    def _wake_for(self, events: Sequence[Unrouted]) -> None:
        woken = {name for event in events for name in self._routing.consumers_of(event.type)}
        for delivery in self._deliveries:
            if delivery.route.name in woken:
                delivery.wake()

    async def _sweep(self) -> None:
        """Deletes old events and inbox ids, in small transactions."""
        settings, inbox = self._settings, Inbox()
        limit = settings.sweep_batch
        for sweep in (
            lambda tx: store.sweep(tx, settings.retention, limit, self._retentions),
            lambda tx: inbox.forget(tx, settings.inbox_retention, limit),
        ):
            while await self._database.run(sweep) == limit:
                pass


async def parked(database: Database, limit: int = 1_000) -> list[Parked]:
    """Returns the parked events of a database, oldest first."""
    return await database.read(lambda tx: parked_store.parked(tx, limit))


async def replay(
    database: Database, event_id: str, consumer: str | None = None, decision: ParkedDecision = UNKNOWN_DECISION
) -> int:
    """Sends a parked event again, to one consumer ("service/consumer") or to all; returns to how many.

    It arrives after events of its key that were delivered meanwhile: to a consumer that waits after a parked event,
    there are none.
    """
    return await _decide(database, event_id, consumer, PENDING, decision)


async def discard(database: Database, event_id: str, consumer: str | None, decision: ParkedDecision) -> int:
    """Decides that one consumer, or all, shall never get a parked event, which is kept; returns how many."""
    return await _decide(database, event_id, consumer, DISCARDED, decision)


async def edit(database: Database, them: Sequence[Parked], payload: bytes, decision: ParkedDecision) -> None:
    """Sends a parked event again with another payload, to the consumers of `them`: to all of these or to none.

    Raises LookupError if it is not parked any more as they say.
    """

    async def work(tx: Transaction) -> None:
        for one in them:
            await parked_store.edit(tx, one, payload, decision)
        await tx.notify(REPLAYED)

    await database.run(work)


async def _decide(database: Database, event_id: str, consumer: str | None, state: str, decision: ParkedDecision) -> int:
    async def work(tx: Transaction) -> int:
        count = await parked_store.decide(tx, event_id, consumer, state, decision)
        await tx.notify(REPLAYED)
        return count

    return await database.run(work)
