"""The broker port on RabbitMQ."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager

from soukapi.v1.event_pb2 import DeliveryResult, Event

from souk.events.broker import BrokerUnavailable, Guarantees, Handle
from souk.events.brokers.rabbitmq.consumer import RabbitConsumer
from souk.events.brokers.rabbitmq.link import Link, explained
from souk.events.brokers.rabbitmq.publisher import Batch, RabbitPublisher
from souk.events.brokers.rabbitmq.settings import RabbitSettings
from souk.events.brokers.rabbitmq.topology import PARTITIONS, declare, queue_of
from souk.telemetry.logs import logger

_log = logger("events")
_NO_REPLAY = "a queue holds what was published after its group was declared, and forgets what its group has handled"


class RabbitBroker:
    """Stores events in queues of RabbitMQ.

    An exchange or a queue that was declared here and is deleted while it is in use is made again: by whoever consumes
    from it, and by publishing. The events in a deleted queue are lost.
    """

    system = "rabbitmq"

    def __init__(self, settings: RabbitSettings) -> None:
        self._settings = settings
        self._publisher = RabbitPublisher(settings)
        self._declared: dict[str, set[str]] = defaultdict(set)
        self._consumers: dict[tuple[str, str], set[RabbitConsumer]] = defaultdict(set)
        self._asking = asyncio.Lock()
        self._link: Link | None = None

    async def inspect(self) -> Guarantees:
        """Returns what the queues of the declared groups guarantee, and what one would that is declared next.

        RabbitMQ confirms an event when most nodes of its queue have written it to disk, so that it outlives a crash
        of all of them. How many nodes there are it does not say: on a single one the loss of its disk loses events.
        """
        found = []
        async with self._connected() as link:
            if link.version < (3, 10):
                found.append("RabbitMQ before 3.10 has no quorum queues that this adapter was tested with")
            for topic, groups in self._declared.items():
                found += await declare(link, topic, groups)
        differing = "; ".join(f"a queue is not as it must be: {says}" for says in found)
        return Guarantees(
            durable=differing, ordered=differing, replays=_NO_REPLAY, largest=await self._publisher.largest()
        )

    async def declare(self, topic: str, groups: Collection[str]) -> None:
        """Makes a topic and its groups if they are missing; see the port."""
        async with self._connected() as link:
            for says in await declare(link, topic, groups):
                _log.error("a queue is not as it must be, and is left so", topic=topic, error=says)
        self._declared[topic].update(groups)

    async def publish(self, topic: str, events: Sequence[Event]) -> Sequence[DeliveryResult]:
        """Stores events; see the port."""
        if not events:
            return []
        no_groups = topic in self._declared and not self._declared[topic]
        batch = await self._publisher.publish(topic, events, has_groups=not no_groups)
        if batch.undeclared:
            await self._restore(topic)
        if not batch.results:
            raise self._failure(batch)
        return batch.results

    async def consume(self, topic: str, group: str, handle: Handle, types: Collection[str] = ()) -> None:
        """Hands the group's events to `handle` until it is cancelled; see the port."""
        consumer, running = RabbitConsumer(self._settings, topic, group, handle, types), self._consumers[topic, group]
        running.add(consumer)
        try:
            await consumer.run()
        finally:
            running.discard(consumer)

    @property
    def backlog_means(self) -> str:
        return "RabbitMQ: what is ready in its queues, without what consumers of other processes have in hand"

    async def backlog(self, topic: str, group: str) -> int:
        """Returns how many events the group has still to handle.

        RabbitMQ counts by AMQP only those that no consumer has in hand (`message_count` of queue.declare-ok and of
        basic.get-ok are the same number, and no method has another). Those in hand are counted if their consumer
        is one of this broker; another process has at most as many as `Partition` takes of each queue.
        """
        async with self._connected() as link:
            channel = await link.channel(watched=False)
            ready = 0
            for number in range(PARTITIONS):
                queue = queue_of(topic, group, number)
                ready += (await link.ask(channel.queue_declare(queue, passive=True))).message_count or 0
            await link.ask(channel.close(None))
        return ready + sum(consumer.in_hand for consumer in self._consumers[topic, group])

    async def close(self) -> None:
        """Closes all connections."""
        await self._publisher.close()
        if self._link is not None:
            await self._link.close()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Link]:
        """Lends the connection for questions, to one at a time; a failure ends it."""
        async with self._asking:
            if self._link is None or self._link.is_lost:
                self._link = await Link.open(self._settings)
            try:
                yield self._link
            except BaseException:
                link, self._link = self._link, None
                await link.close()
                raise

    async def _restore(self, topic: str) -> None:
        """Makes again what was declared here and is gone."""
        if groups := self._declared.get(topic):
            _log.error("a topic or a queue of it was deleted at the broker; it is made again", topic=topic)
            await self.declare(topic, set(groups))

    def _failure(self, batch: Batch) -> BrokerUnavailable:
        server = self._settings.server
        if batch.undeclared:
            return BrokerUnavailable(
                f"RabbitMQ at {server}: no queue takes an event of the topic {batch.topic!r}; it must be declared"
            )
        return explained(batch.errors[0] if batch.errors else ConnectionError("nothing was confirmed"), server)
