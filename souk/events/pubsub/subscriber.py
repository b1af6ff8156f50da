"""The receiving end of a broker: hands the events of a topic to one consumer, and parks what it cannot handle."""

import asyncio
from collections.abc import Collection

from cachetools import LRUCache
from soukapi.v1.event_pb2 import Event

from souk.events.broker import Broker
from souk.events.causes import Cause
from souk.events.consumer import Handler, handled
from souk.events.pubsub.parking import Park
from souk.events.pubsub.topics import topic_of
from souk.kernel.clock import Clock
from souk.kernel.context import acting_as
from souk.kernel.errors import SoukError
from souk.telemetry.logs import logger
from souk.telemetry.tracing.tracer import Tracer

MOST_REMEMBERED = 10_000
"""Events of which it is known how often they failed, or why they are to be parked: far more than are ever in hand. An
event that moves to another process before it has ended is forgotten in the end; should it come back, it counts anew."""

_log = logger("events")


class Postponed(SoukError):
    """An event is to be handed over again, after a pause and before any later event of its key."""


class Subscriber:
    """Consumes for the consumer `service`/`consumer`, which handles the events of `types` and passes over others.

    An event on which the handler fails is parked after `max_failures` tries, one that it refuses at once; later events
    of its key go on then. While something that the handler needs is away, or an event cannot be parked, its key waits.
    """

    def __init__(
        self,
        broker: Broker,
        service: str,
        consumer: str,
        types: Collection[str],
        handler: Handler,
        park: Park,
        clock: Clock,
        *,
        max_failures: int = 5,
        event_timeout: float = 10.0,
        tracer: Tracer | None = None,
    ) -> None:
        self._tracer = tracer
        self._broker = broker
        self._service, self._consumer = service, consumer
        self._types = frozenset(types)
        self._handler = handler
        self._park = park
        self._clock = clock
        self._max_failures = max_failures
        self._event_timeout = event_timeout
        self._failures: LRUCache[str, int] = LRUCache(MOST_REMEMBERED)
        self._to_park: LRUCache[str, Cause] = LRUCache(MOST_REMEMBERED)

    @property
    def group(self) -> str:
        """The consumer's name in the system, which is that of its group."""
        return f"{self._service}/{self._consumer}"

    @property
    def topics(self) -> list[str]:
        """The topics that its types are in."""
        return sorted({topic_of(type_name) for type_name in self._types})

    @property
    def backlog_means(self) -> str:
        """What the broker counts as its backlog, in words."""
        return self._broker.backlog_means

    async def backlog(self) -> dict[str, int]:
        """Returns how many events each topic still has for it. Raises BrokerUnavailable."""
        return {topic: await self._broker.backlog(topic, self.group) for topic in self.topics}

    async def run(self) -> None:
        """Consumes until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for topic in self.topics:
                consuming = self._broker.consume(topic, self.group, self.handle, self._types)
                tasks.create_task(consuming, name=f"{self.group}: {topic}")

    async def handle(self, event: Event) -> None:
        """Handles an event, passes over it, or parks it; raises Postponed when it must come again."""
        if event.type and event.type not in self._types:
            return
        with acting_as(self._service):
            if event.id not in self._to_park and not await self._is_handled(event):
                raise Postponed(f"{self.group}: {event.id}")
            if (cause := self._to_park.get(event.id)) is not None:
                await self._park_it(event, cause)
        self._failures.pop(event.id, None)

    async def _is_handled(self, event: Event) -> bool:
        """Lets the handler have the event; returns whether it is done with, which may mean that it is to be parked."""
        if not event.type:
            self._to_park[event.id] = Cause("it is no event of ours")
            return True
        limit, system = self._event_timeout, self._broker.system
        result = await handled(self._consumer, self._handler, event, limit, self._clock, self._tracer, system)
        if result is None:
            return False
        if result.failure:
            tries = self._failures[event.id] = self._failures.get(event.id, 0) + 1
            if tries < self._max_failures:
                return False
            self._to_park[event.id] = Cause(f"{result.failure}, {tries} times", result.digest, result.location)
        elif result.poison:
            self._to_park[event.id] = Cause(result.poison, result.digest, result.location)
        return True

    async def _park_it(self, event: Event, cause: Cause) -> None:
        try:
            await self._park(event, cause, self._failures.get(event.id, 0))
        except Exception as error:
            _log.error(
                "an event cannot be parked, and its key waits",
                consumer=self.group,
                event_id=event.id,
                reason=cause.reason,
                error=type(error).__name__,
            )
            raise Postponed(f"{self.group}: {event.id} cannot be parked") from error
        self._to_park.pop(event.id, None)
        _log.error(
            "an event is parked", consumer=self.group, event_id=event.id, reason=cause.reason, digest=cause.digest
        )
