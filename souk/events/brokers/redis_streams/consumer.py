"""One consumer of a group: it owns some of a topic's streams, and hands their entries to the lanes."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError, ResponseError
from soukapi.v1.event_pb2 import Event

from souk.events.broker import BrokerUnavailable, Handle
from souk.events.brokers.redis_streams import scripts
from souk.events.brokers.redis_streams.ownership import Ownership, stream_of
from souk.events.cloud_events import NotAnEvent, event_from
from souk.events.key_lanes import KeyLanes, LaneSettings
from souk.kernel.errors import LeaseLost
from souk.resilience.backoff import Backoff
from souk.telemetry.logs import logger

if TYPE_CHECKING:
    from redis.asyncio import Redis  # an optional extra

_log = logger("events")

DATA = b"data"
"""The field of an entry that is the payload; the others are the CloudEvents attributes."""
BLOCK = 0.5
"""Seconds for which the server lets a read wait for new entries."""
MOST_OF_A_STREAM = 64
TRIM_EVERY = 60.0
"""Seconds after which old entries of a topic are removed again."""
_BACKOFF = Backoff(0.1, 2.0)
UNREACHABLE = (RedisError, OSError, TimeoutError, BrokerUnavailable)


def end_if_cancelled() -> None:
    """Raises CancelledError in a task that was cancelled: the client may swallow that, and answer a command instead.

    Not for a task that ran a task group: before Python 3.13 a group may leave it marked as cancelled.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


@dataclass(slots=True)
class _Position:
    """Where an owned stream is read: `after` is the last id submitted, `pending` whether older ones may be there; it is
    read as soon as it has `more`."""

    after: str = "0-0"
    pending: bool = True
    more: bool = True

    @property
    def start(self) -> str:
        return self.after if self.pending else ">"


class GroupConsumer:
    """Consumes what `ownership` gives it: `commands` is for short commands, `waits` for reads that block."""

    def __init__(
        self,
        commands: "Redis",
        waits: "Redis",
        ownership: Ownership,
        handle: Handle,
        declare: Callable[[], Awaitable[None]],
        retention: float,
    ) -> None:
        self._commands, self._waits = commands, waits
        self._topic, self._group = ownership.topic, ownership.group
        self._ownership = ownership
        self._declare = declare
        self._retention = retention
        self._handle = handle
        self._settings = LaneSettings()
        self._lanes = KeyLanes(self._if_owned, self._settings)
        self._read_script = commands.register_script(scripts.READ)
        self._trim_script = commands.register_script(scripts.TRIM)
        self._positions: dict[int, _Position] = {}
        self._handled: dict[int, list[str]] = defaultdict(list)
        self._any_handled = asyncio.Event()
        self._owns_some = asyncio.Event()

    async def run(self) -> None:
        """Consumes until it is cancelled; then acknowledges what was handled and leaves the group."""
        tries, random = 0, Random()
        try:
            async with self._lanes:
                while True:
                    await self._restore(await self._ended_session())
                    tries = 1 if self._ownership.held else tries + 1
                    pause = _BACKOFF.delay(tries, random)
                    _log.warning("a broker is unavailable", group=self._group, next_try=round(pause, 3))
                    await asyncio.sleep(pause)
        finally:
            with suppress(*UNREACHABLE):
                async with asyncio.timeout(2.0):
                    await self._acknowledge()
                    await self._ownership.leave()

    async def _ended_session(self) -> BaseException:
        """Runs a session until the server is lost, and returns why; raises what is no such loss.

        A task of its own: a task group that was cancelled forgets that when one of its tasks then fails.
        """
        session = asyncio.create_task(self._session(), name="session of a group")
        try:
            await asyncio.wait([session])
        finally:
            if session.cancel():
                await asyncio.wait([session])
        error = session.exception()
        assert error is not None, "a session ends by an error"
        if isinstance(error, BaseExceptionGroup) and error.split(UNREACHABLE)[1] is None:
            return error
        raise error

    async def _session(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._begin(tasks), name="begin of a group")

    async def _begin(self, tasks: asyncio.TaskGroup) -> None:
        await self._declare()
        await self._rebalance()
        end_if_cancelled()
        tasks.create_task(self._rebalance_for_ever(), name="streams of a group")
        tasks.create_task(self._acknowledge_for_ever(), name="acknowledgements of a group")
        tasks.create_task(self._trim_for_ever(), name="old entries of a group")
        tasks.create_task(self._read_for_ever(), name="reads of a group")

    async def _restore(self, error: BaseException) -> None:
        """Prepares a new session: what the server handed out and this consumer never saw is pending there."""
        for position in self._positions.values():
            position.pending = position.more = True
        if isinstance(error, BaseExceptionGroup) and error.subgroup(_is_missing) is not None:
            _log.error("the group was gone and is declared anew", group=self._group, topic=self._topic)
            await self._lanes.take_back(set(self._positions))
            self._positions = {number: _Position() for number in self._positions}

    async def _if_owned(self, event: Event) -> None:
        """Handles an event, unless this consumer stood still so long that the stream may be another's by now."""
        if not self._ownership.held:
            raise LeaseLost("the lease on this stream is over")
        await self._handle(event)

    async def _rebalance_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._ownership.lease / 5)
            await self._rebalance()
            end_if_cancelled()

    async def _rebalance(self) -> None:
        held, share = await self._ownership.renew()
        surplus = sorted(held)[share:]
        self._ownership.forget(surplus)
        await self._let_go(set(self._positions) - held)
        await self._let_go(surplus)
        if surplus:
            await self._acknowledge()
            await self._ownership.give_up(surplus)
        for position in self._positions.values():
            position.more = True  # a safety net: usually the server tells which streams have something new
        for number in held - set(surplus) - set(self._positions):
            self._positions[number] = _Position()
        (self._owns_some.set if self._positions else self._owns_some.clear)()

    async def _let_go(self, numbers: Collection[int]) -> None:
        for number in numbers:
            self._positions.pop(number, None)
        await self._lanes.take_back(numbers)

    async def _read_for_ever(self) -> None:
        while True:
            await self._owns_some.wait()
            await self._lanes.room()
            if numbers := sorted(number for number, position in self._positions.items() if position.more):
                await self._read(numbers)
            else:
                await self._wait_for_new()
            end_if_cancelled()

    async def _read(self, numbers: Sequence[int]) -> None:
        """Reads what there is in these streams, as far as there is room for it."""
        room = max(1, min(MOST_OF_A_STREAM, (self._settings.events - self._lanes.in_hand) // len(numbers)))
        keys = [self._ownership.owners_key, *(stream_of(self._topic, number) for number in numbers)]
        positions = {number: self._positions[number] for number in numbers}
        starts = [text for number, position in positions.items() for text in (number, position.start)]
        arguments = [self._ownership.consumer, self._group, room, *starts]
        answer = await self._read_script(keys=keys, args=arguments)
        for position in positions.values():
            position.more = False  # nothing is answered about a stream that is another's by now
        for found, last, entries in answer:
            number, position = int(found), positions[int(found)]
            if self._positions.get(number) is not position:
                continue  # it was let go meanwhile
            self._submit(number, position, entries)
            position.more = position.pending or len(entries) >= room
            if not entries and position.pending:
                position.pending = False
            elif not entries:
                position.after = last.decode()

    def _submit(self, number: int, position: _Position, entries: list[tuple[bytes, list[bytes] | None]]) -> None:
        for found, fields in entries:
            position.after = found.decode()
            event = _event_of(number, position.after, fields)
            self._lanes.submit(event, partial(self._done, number, position.after), tag=number)

    def _done(self, number: int, entry: str) -> None:
        self._handled[number].append(entry)
        self._any_handled.set()

    async def _wait_for_new(self) -> None:
        """Waits until the server tells of streams that have something new."""
        positions = {stream_of(self._topic, number): position for number, position in self._positions.items()}
        if positions:
            after: dict[Any, Any] = {stream: position.after for stream, position in positions.items()}
            answer: Any = await self._waits.xread(after, count=1, block=round(BLOCK * 1000))
            for stream, _ in answer:
                positions[stream.decode()].more = True

    async def _acknowledge_for_ever(self) -> None:
        while True:
            await self._any_handled.wait()
            self._any_handled.clear()
            await self._acknowledge()
            end_if_cancelled()

    async def _acknowledge(self) -> None:
        batch = {number: list(entries) for number, entries in self._handled.items() if entries}
        if not batch:
            return
        async with self._commands.pipeline(transaction=False) as pipeline:
            for number, entries in batch.items():
                pipeline.xack(stream_of(self._topic, number), self._group, *entries)
            await pipeline.execute()
        for number, entries in batch.items():
            del self._handled[number][: len(entries)]

    async def _trim_for_ever(self) -> None:
        while True:
            for number in list(self._positions):
                await self._trim_script(keys=[stream_of(self._topic, number)], args=[round(self._retention * 1000)])
                end_if_cancelled()
            await asyncio.sleep(TRIM_EVERY)


def _is_missing(error: BaseException) -> bool:
    return isinstance(error, ResponseError) and "NOGROUP" in str(error)


def _event_of(number: int, entry: str, fields: list[bytes] | None) -> Event:
    """Reads an entry; one that is no event of ours becomes one without a type, for the handler to refuse."""
    pairs = dict(zip((fields or [])[::2], (fields or [])[1::2], strict=False))
    payload = pairs.pop(DATA, b"")
    try:
        return event_from({name.decode(): value.decode() for name, value in pairs.items()}, payload)
    except (NotAnEvent, UnicodeDecodeError):
        return Event(id=f"{number}-{entry}", payload=payload)
