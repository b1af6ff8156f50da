"""A consumer of a group while it has one connection: its partitions, and how long it may be sure of them."""

import asyncio
from collections.abc import Coroutine
from itertools import count
from time import monotonic
from typing import Any

from aiormq.abc import AbstractChannel, DeliveredMessage

from souk.events.broker import BrokerUnavailable
from souk.events.brokers.rabbitmq.link import Link
from souk.events.brokers.rabbitmq.partition import Partition
from souk.events.brokers.rabbitmq.topology import PARTITIONS, bind, declare, members_of, queue_of
from souk.events.key_lanes import KeyLanes
from souk.telemetry.logs import logger

_log = logger("events")
_LEAVE = 2.0


class Session:
    """Consumes over `link`. The broker gives this consumer's events to no other one while `is_sure`."""

    def __init__(self, link: Link, topic: str, group: str, lanes: KeyLanes, heartbeat: int) -> None:
        self._link = link
        self._topic, self._group = topic, group
        self._heartbeat = heartbeat
        self._sure_until = float("-inf")
        self.began = False
        self._any_handled = asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()
        self._partitions = [
            Partition(number, queue_of(topic, group, number), lanes, self._any_handled.set)
            for number in range(PARTITIONS)
        ]

    @property
    def is_sure(self) -> bool:
        """Whether the broker has answered so lately that it cannot have given this consumer up.

        It does so two to three heartbeats after it heard of it last.
        """
        return monotonic() < self._sure_until

    async def run(self) -> None:
        """Consumes until it is cancelled, or raises BrokerUnavailable when the connection is lost."""
        await declare(self._link, self._topic, [self._group])
        control = await self._join()
        await self._beat(control, 0)
        for partition in self._partitions:
            await partition.begin(self._link)
        self.began = True
        loops = [self._beat_for_ever(control), self._acknowledge_for_ever(), self._until_lost()]
        tasks = [asyncio.create_task(loop) for loop in loops]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    def stop(self) -> None:
        """Takes no more events, and begins to handle none."""
        self._sure_until = float("-inf")
        for partition in self._partitions:
            partition.stop()

    async def leave(self) -> None:
        """Acknowledges what was handled, and closes the connection."""
        try:
            if not self._link.is_lost:
                async with asyncio.timeout(_LEAVE):
                    await asyncio.gather(*self._under_way, self._acknowledge())
        except (BrokerUnavailable, TimeoutError):
            _log.debug("the broker was lost before all was acknowledged", group=self._group)
        finally:
            await self._link.close()

    async def _join(self) -> AbstractChannel:
        """Lets the broker count this consumer among those of the group."""
        channel, members = await self._link.channel(), members_of(self._topic, self._group)
        await self._link.ask(channel.queue_declare(members, durable=True, auto_delete=True))
        await self._link.ask(channel.basic_consume(members, _ignore))
        return channel

    async def _beat_for_ever(self, control: AbstractChannel) -> None:
        for number in count(1):
            await asyncio.sleep(self._heartbeat / 4)
            await self._share(await self._beat(control, number % PARTITIONS))

    async def _beat(self, control: AbstractChannel, number: int) -> int:
        """Sees that the broker answers and the topic is there; returns how many consumers the group has."""
        asked = monotonic()
        await bind(self._link, control, self._topic, self._group, number)
        members = members_of(self._topic, self._group)
        found = await self._link.ask(control.queue_declare(members, passive=True))
        self._sure_until = asked + 1.5 * self._heartbeat
        return found.consumer_count or 1

    async def _share(self, members: int) -> None:
        """Gives partitions to the others when it has more than its share; it waits behind them for these."""
        fair = -(-PARTITIONS // members)
        for partition in [one for one in self._partitions if one.active][fair:]:
            await self._to_the_end(partition.end(self._link))
            await partition.begin(self._link)

    async def _acknowledge_for_ever(self) -> None:
        while True:
            await self._any_handled.wait()
            self._any_handled.clear()
            await self._to_the_end(self._acknowledge())

    async def _to_the_end(self, telling: Coroutine[Any, Any, None]) -> None:
        """Tells the broker something that `leave` waits for if this is cancelled meanwhile.

        What is being acknowledged is in no list any more, so that nobody else would acknowledge it.
        """
        task = asyncio.create_task(telling)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        await asyncio.shield(task)

    async def _acknowledge(self) -> None:
        for partition in self._partitions:
            await partition.acknowledge(self._link)

    async def _until_lost(self) -> None:
        raise await self._link.until_lost()


async def _ignore(_: DeliveredMessage) -> None:
    """The queue of the members has no messages."""
