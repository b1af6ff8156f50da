"""One queue of a group, consumed over a channel of its own."""

import asyncio
from collections.abc import Callable
from functools import partial

from aiormq.abc import AbstractChannel, DeliveredMessage
from soukapi.v1.event_pb2 import Event

from souk.events.brokers.rabbitmq.link import Link
from souk.events.brokers.rabbitmq.messages import event_of_message, unreadable
from souk.events.cloud_events import NotAnEvent
from souk.events.key_lanes import KeyLanes
from souk.telemetry.logs import logger

_log = logger("events")

PREFETCH = 32
"""The events of a queue that a consumer has in hand at most. The same for all consumers of a queue: one that took less
than the one before it had would get the rest of that one's events behind those that come back a second time."""


class Partition:
    """Hands the events of a queue to lanes, with `number` as their tag, and acknowledges what they have handled."""

    def __init__(self, number: int, queue: str, lanes: KeyLanes, handled: Callable[[], None]) -> None:
        self.number = number
        self.active = False
        self._queue = queue
        self._lanes = lanes
        self._notify = handled
        self._channel: AbstractChannel | None = None
        self._handled: list[int] = []
        self._takes = True
        self._acknowledging = asyncio.Lock()

    async def begin(self, link: Link) -> None:
        """Takes a place among the consumers of the queue."""
        channel = self._channel = await link.channel()
        await link.ask(channel.basic_qos(prefetch_count=PREFETCH))
        await link.ask(channel.basic_consume(self._queue, partial(self._deliver, channel)))

    def stop(self) -> None:
        """Takes no more events; what was handled can still be acknowledged."""
        self._takes = False

    async def acknowledge(self, link: Link) -> None:
        """Tells the broker what was handled."""
        async with self._acknowledging:
            handled, self._handled = self._handled, []
            if handled and self._channel is not None:
                await link.ask(_acknowledge(self._channel, handled))

    async def end(self, link: Link) -> None:
        """Gives the queue to the next of its consumers, which gets all that was not acknowledged.

        Events that the broker has sent meanwhile are not taken.
        """
        channel, handled = self._channel, self._handled
        self._channel, self._handled, self.active = None, [], False
        await self._lanes.take_back([self.number])
        async with self._acknowledging:
            if channel is not None and handled:
                await link.ask(_acknowledge(channel, handled))
            if channel is not None:
                await link.leave(channel)

    async def _deliver(self, channel: AbstractChannel, message: DeliveredMessage) -> None:
        tag = message.delivery_tag
        if channel is self._channel and self._takes and tag is not None:
            self.active = True
            self._lanes.submit(self._event(message), partial(self._done, channel, tag), tag=self.number)

    def _done(self, channel: AbstractChannel, tag: int) -> None:
        if channel is self._channel:
            self._handled.append(tag)
            self._notify()

    def _event(self, message: DeliveredMessage) -> Event:
        try:
            return event_of_message(message)
        except NotAnEvent as error:
            _log.warning("a message is no event", queue=self._queue, reason=str(error))
            return unreadable(self._queue, message)


async def _acknowledge(channel: AbstractChannel, tags: list[int]) -> None:
    for tag in tags[:-1]:
        await channel.basic_ack(tag, wait=False)
    # This one returns when all are written.
    await channel.basic_ack(tags[-1], wait=True)
