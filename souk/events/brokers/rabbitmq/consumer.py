"""One consumer of a group: it connects, and connects anew, for ever."""

import asyncio
from collections.abc import Collection
from random import Random

from soukapi.v1.event_pb2 import Event

from souk.events.broker import BrokerUnavailable, Handle
from souk.events.brokers.rabbitmq.link import Link
from souk.events.brokers.rabbitmq.session import Session
from souk.events.brokers.rabbitmq.settings import RabbitSettings
from souk.events.brokers.rabbitmq.topology import PARTITIONS
from souk.events.key_lanes import KeyLanes
from souk.kernel.errors import LeaseLost
from souk.resilience.backoff import Backoff
from souk.telemetry.logs import logger

_log = logger("events")
_BACKOFF = Backoff(0.1, 2.0)


class RabbitConsumer:
    """Hands the events of a group to `handle`."""

    def __init__(
        self, settings: RabbitSettings, topic: str, group: str, handle: Handle, types: Collection[str]
    ) -> None:
        self._settings = settings
        self._topic, self._group = topic, group
        self._handle = handle
        self._lanes = KeyLanes(self._if_sure, types=types)
        self._session: Session | None = None

    @property
    def in_hand(self) -> int:
        """How many events it has in hand."""
        return self._lanes.in_hand

    async def run(self) -> None:
        """Consumes until it is cancelled."""
        try:
            async with self._lanes:
                await self._consume_for_ever()
        finally:
            await self._leave()

    async def _consume_for_ever(self) -> None:
        tries, random = 0, Random()
        while True:
            error, began = await self._until_lost()
            # All handlers end before the broker can hand the same events to this consumer again.
            await self._lanes.take_back(range(PARTITIONS))
            await self._leave()
            tries = 1 if began else tries + 1
            pause = _BACKOFF.delay(tries, random)
            why = str(error)
            _log.warning("a broker is unavailable", group=self._group, error=why, next_try=round(pause, 3))
            await asyncio.sleep(pause)

    async def _until_lost(self) -> tuple[BrokerUnavailable, bool]:
        """Consumes until the connection is lost; returns why, and whether it had begun.

        However it ends, nothing is given to the lanes after it.
        """
        session: Session | None = None
        try:
            link = await Link.open(self._settings)
            session = Session(link, self._topic, self._group, self._lanes, self._settings.heartbeat)
            self._session = session
            await session.run()
        except BrokerUnavailable as error:
            return error, session is not None and session.began
        finally:
            if session is not None:
                session.stop()
        raise AssertionError("a session ends by an error")

    async def _leave(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.leave()

    async def _if_sure(self, event: Event) -> None:
        """Handles an event, unless this consumer stood still so long that another may have it by now."""
        if self._session is None or not self._session.is_sure:
            raise LeaseLost("the broker may have given this event to another consumer")
        await self._handle(event)
