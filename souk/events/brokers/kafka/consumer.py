"""Consumes a topic in a group: between the membership, which knows the broker, and the lanes, which run handlers."""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import cast

from confluent_kafka import Message
from soukapi.v1.event_pb2 import Event

from souk.events.brokers.kafka.membership import Assignee, Member
from souk.events.brokers.kafka.messages import Headers, event_of_message, type_of, unreadable
from souk.events.brokers.kafka.offsets import OffsetTracker
from souk.events.cloud_events import NotAnEvent
from souk.events.key_lanes import KeyLanes
from souk.telemetry.logs import logger

_log = logger("events")
_POLL = 0.1
"""The longest that a poll waits for messages, in seconds; what was handled meanwhile is committed after it."""
_LEAVE = 5.0


class KafkaConsumer:
    """Hands the messages of one membership to lanes, and commits what they have handled."""

    def __init__(self, lanes: KeyLanes, join: Callable[[Assignee], Member]) -> None:
        self._lanes = lanes
        self._membership = join(self)
        self._fetched: deque[Message] = deque()
        self._trackers: dict[int, OffsetTracker] = {}
        self._committing = False

    async def run(self) -> None:
        """Consumes until it is cancelled, or until the membership fails with KafkaException."""
        try:
            while True:
                await self._exchange()
        finally:
            # A second cancellation ends the waiting and not the leaving.
            await asyncio.shield(asyncio.create_task(self._leave()))

    async def take_back(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Ends all handlers of these partitions, and returns the offsets that are still to be committed."""
        self._fetched = deque(message for message in self._fetched if message.partition() not in partitions)
        await self._lanes.take_back(partitions)
        ended = {number: self._trackers.pop(number) for number in partitions if number in self._trackers}
        return _due(ended)

    def committed(self, failed: bool) -> None:
        """Says that the commit that was in flight has ended; `failed` if it is to be made again."""
        self._committing = False
        if failed:
            for tracker in self._trackers.values():
                tracker.commit_failed()

    async def _exchange(self) -> None:
        """Submits what was fetched while there is room, and fetches more once all of it is submitted."""
        while self._fetched and self._lanes.has_room:
            self._submit(self._fetched.popleft())
        full = not self._lanes.has_room
        if full:
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL):
                    await self._lanes.room()
                return
        found = await self._membership.poll(0 if full else _POLL, pause=full, commit=self._to_commit())
        # Not in one line: while it waited, `take_back` may have changed what was fetched before.
        self._fetched.extend(found)

    def _to_commit(self) -> dict[int, int]:
        if self._committing:
            return {}
        due = _due(self._trackers)
        self._committing = bool(due)
        return due

    def _submit(self, message: Message) -> None:
        partition, offset = message.partition() or 0, message.offset() or 0
        tracker = self._trackers.get(partition)
        if tracker is None or not tracker.follows(offset):
            tracker = self._trackers[partition] = OffsetTracker()
        tracker.take(offset)
        done, headers = tracker.handled, cast(Headers | None, message.headers())
        if self._lanes.passes_over(type_of(headers)):
            done(offset)
        else:
            self._lanes.submit(_event(message, headers), lambda: done(offset), tag=partition)

    async def _leave(self) -> None:
        handled = await self.take_back(list(self._trackers))
        leaving = asyncio.create_task(self._membership.leave(handled))
        done, _ = await asyncio.wait([leaving], timeout=_LEAVE)
        if not done or leaving.exception() is not None:
            _log.warning("the group could not be left; the broker notices it by its session time-out")


def _due(trackers: Mapping[int, OffsetTracker]) -> dict[int, int]:
    found = {number: tracker.to_commit() for number, tracker in trackers.items()}
    return {number: offset for number, offset in found.items() if offset is not None}


def _event(message: Message, headers: Headers | None) -> Event:
    try:
        return event_of_message(headers, message.value())
    except NotAnEvent as error:
        found = f"{message.topic()}/{message.partition()}/{message.offset()}"
        _log.warning("a message is no event", message=found, reason=str(error))
        return unreadable(found, message.key(), message.value())
