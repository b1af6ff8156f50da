"""Publishes to topics: what is too large is poison, and a result is given only for what the broker confirmed."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Sequence

from aiormq.abc import AbstractChannel
from aiormq.exceptions import PublishError
from soukapi.v1.event_pb2 import DeliveryResult, Event

from souk.events.broker import BrokerUnavailable
from souk.events.brokers.rabbitmq.link import FAILURES, Link, NotDeclared, explained
from souk.events.brokers.rabbitmq.messages import LARGEST, poison, properties_of
from souk.events.brokers.rabbitmq.settings import RabbitSettings
from souk.events.brokers.rabbitmq.topology import partition_of

_TOO_LARGE = re.compile(r"message size \d+ is larger than configured max size (\d+)")


class Batch:
    """The events of one call, and what became of them.

    One that no queue takes is not stored, unless the topic has no group: there is nobody to keep it for then.
    """

    def __init__(self, topic: str, events: Sequence[Event], has_groups: bool) -> None:
        self.topic, self.events, self._has_groups = topic, events, has_groups
        self.errors: list[BaseException] = []
        self._results: dict[int, DeliveryResult] = {}

    @property
    def results(self) -> list[DeliveryResult]:
        """What is known, in the order of the events."""
        return [self._results[index] for index in sorted(self._results)]

    @property
    def complete(self) -> bool:
        """Whether every event has a result."""
        return len(self._results) == len(self.events)

    @property
    def undeclared(self) -> bool:
        """Whether an event found no exchange or no queue."""
        return any(isinstance(error, PublishError | NotDeclared) for error in self.errors)

    def runs(self) -> list[list[int]]:
        """Returns the indices of the events of each key."""
        found: dict[str, list[int]] = defaultdict(list)
        for index, event in enumerate(self.events):
            found[event.key].append(index)
        return list(found.values())

    async def publish(self, channel: AbstractChannel, run: Sequence[int], largest: int, server: str) -> None:
        """Publishes the events of a key, each once the one before it is stored: none is behind one that was refused."""
        for index in run:
            event = self.events[index]
            why = poison(event, largest)
            if not why:
                try:
                    await self._publish(channel, event)
                except FAILURES as error:
                    returned = isinstance(error, PublishError)
                    self.errors.append(error if returned else explained(error, server))
                    return
            self._results[index] = DeliveryResult(event_id=event.id, poison=why)

    async def _publish(self, channel: AbstractChannel, event: Event) -> None:
        await channel.basic_publish(
            event.payload,
            exchange=self.topic,
            routing_key=str(partition_of(event.key)),
            properties=properties_of(event),
            mandatory=self._has_groups,
        )


class RabbitPublisher:
    """Publishes for any number of tasks, over one channel at a time."""

    def __init__(self, settings: RabbitSettings) -> None:
        self._settings = settings
        self._opening = asyncio.Lock()
        self._open: tuple[Link, AbstractChannel] | None = None
        self._closed = False
        self._largest = LARGEST

    async def publish(self, topic: str, events: Sequence[Event], *, has_groups: bool = True) -> Batch:
        """Publishes events, and returns what became of them. Raises BrokerUnavailable when it cannot begin."""
        link, channel = await self._channel()
        batch = Batch(topic, events, has_groups)
        server = self._settings.server
        tasks = [asyncio.create_task(batch.publish(channel, run, self._largest, server)) for run in batch.runs()]
        waiting: set[asyncio.Task[None]] = set(tasks)
        try:
            _, waiting = await asyncio.wait(tasks, timeout=self._settings.patience)
        finally:
            for task in tasks:
                task.cancel()
        for task in set(tasks) - waiting:
            if not task.cancelled():
                task.result()
        if not batch.complete:
            await self._judge(link, batch, timed_out=bool(waiting))
        return batch

    async def largest(self) -> int:
        """Returns the most octets of payload, by sending a message that no queue takes."""
        link, _ = await self._channel()
        channel = await link.channel(confirms=True, watched=False)
        try:
            await link.ask(channel.basic_publish(bytes(self._largest), routing_key=_NOWHERE))
        except BrokerUnavailable as error:
            if not self._learn(error):
                raise
        else:
            await link.ask(channel.close(None))
        return self._largest

    async def close(self) -> None:
        """Closes the connection."""
        self._closed = True
        await self._drop()

    async def _channel(self) -> tuple[Link, AbstractChannel]:
        async with self._opening:
            if self._closed:
                raise BrokerUnavailable("the broker was closed")
            if self._open is None or self._open[0].is_lost:
                await self._drop()
                link = await Link.open(self._settings)
                try:
                    self._open = link, await link.channel(confirms=True)
                except BaseException:
                    await link.close()
                    raise
            return self._open

    async def _judge(self, link: Link, batch: Batch, *, timed_out: bool) -> None:
        """Finds out why a batch is not complete, and gives the connection up that took too long."""
        if any(self._learn(error) for error in batch.errors):
            link.lose(ConnectionError("an event was too large"))
        if timed_out:
            batch.errors.append(await self._slow(link))
            if not batch.results:
                link.lose(batch.errors[-1])

    async def _slow(self, link: Link) -> BrokerUnavailable:
        unblocked = asyncio.create_task(link.until_unblocked())
        done, _ = await asyncio.wait([unblocked], timeout=0.05)
        unblocked.cancel()
        within = f"within {self._settings.patience:g} s"
        if done:
            return BrokerUnavailable(f"RabbitMQ at {self._settings.server} does not confirm {within}")
        return BrokerUnavailable(
            f"RabbitMQ at {self._settings.server} takes no events {within}: it lacks memory or disk (an alarm is set)"
        )

    def _learn(self, error: BaseException) -> bool:
        """Takes the limit from the broker's refusal of a large message; returns whether it was one."""
        found = _TOO_LARGE.search(str(error))
        if found is not None:
            self._largest = min(self._largest, int(found[1]))
        return found is not None

    async def _drop(self) -> None:
        if self._open is not None:
            link, self._open = self._open[0], None
            await link.close()


_NOWHERE = "souk/nowhere"
"""A routing key that no queue has."""
