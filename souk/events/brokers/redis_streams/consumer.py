"""One consumer of a group: it owns some of a topic's streams, and hands their entries to the lanes."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError, ResponseError
from soukapi.v1.event_pb2 import Event

from souk.events.broker import BrokerUnavailable, Handle
from souk.events.brokers.redis_streams import scripts
from souk.events.brokers.redis_streams.ownership import Ownership, stream_of
from souk.events.brokers.redis_streams.position import MOST_AT_ONCE, StreamClaim, StreamPosition
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
SETTLE_EVERY = 0.05
"""Seconds between two words to the server about what was handled. Each is a write to its disk, for which everybody
waits; a consumer that dies has up to so many seconds of its work repeated."""
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


class GroupConsumer:
    """Consumes what `ownership` gives it: `commands` is for short commands, `waits` for reads that block."""

    def __init__(
        self,
        commands: "Redis",
        waits: "Redis",
        ownership: Ownership,
        handle: Handle,
        types: Collection[str],
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
        self._lanes = KeyLanes(self._if_owned, self._settings, types=types)
        self._handed_out_script = commands.register_script(scripts.HANDED_OUT)
        self._settle_script = commands.register_script(scripts.SETTLE)
        self._trim_script = commands.register_script(scripts.TRIM)
        self._positions: dict[int, StreamPosition] = {}
        self._handled: dict[int, list[str]] = defaultdict(list)
        self._any_handled = asyncio.Event()
        self._settling = asyncio.Lock()
        self._owns_some = asyncio.Event()

    async def run(self) -> None:
        """Consumes until it is cancelled; then tells the server what was handled and leaves the group."""
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
                    while any(self._handled.values()):
                        await self._settle(self._positions)
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
        tasks.create_task(self._settle_for_ever(), name="acknowledgements of a group")
        tasks.create_task(self._trim_for_ever(), name="old entries of a group")
        tasks.create_task(self._read_for_ever(), name="reads of a group")

    async def _restore(self, error: BaseException) -> None:
        """Prepares a new session, which looks whether the groups are still there."""
        self._any_handled.set()
        for position in self._positions.values():
            position.checked = False
        if isinstance(error, BaseExceptionGroup) and error.subgroup(_is_missing) is not None:
            _log.error("the group was gone and is declared anew", group=self._group, topic=self._topic)
            await self._begin_anew(set(self._positions))

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
        if not self._ownership.held:
            await self._let_go(set(self._positions))  # others may have gone on with them meanwhile
        held, share = await self._ownership.renew()
        surplus = sorted(held)[share:]
        self._ownership.forget(surplus)
        await self._let_go(set(self._positions) - held)
        if surplus:
            left = await self._let_go(surplus)
            await self._settle(left)
            await self._ownership.give_up(surplus)
        for position in self._positions.values():
            position.checked = False  # a safety net: a group may be gone
        for number in held - set(surplus) - set(self._positions):
            self._positions[number] = StreamPosition()
        (self._owns_some.set if self._positions else self._owns_some.clear)()

    async def _let_go(self, numbers: Collection[int]) -> dict[int, StreamPosition]:
        left = {number: self._positions.pop(number) for number in numbers if number in self._positions}
        await self._lanes.take_back(numbers)
        return left

    async def _begin_anew(self, numbers: Collection[int]) -> None:
        for number in await self._let_go(numbers):
            self._positions[number] = StreamPosition()

    async def _read_for_ever(self) -> None:
        while True:
            await self._owns_some.wait()
            await self._lanes.room()
            numbers = sorted(number for number, position in self._positions.items() if not position.checked)
            await (self._read_handed_out(numbers) if numbers else self._read_new())
            end_if_cancelled()

    def _room(self, streams: int) -> int:
        return max(1, min(MOST_OF_A_STREAM, (self._settings.events - self._lanes.in_hand) // streams))

    async def _read_handed_out(self, numbers: Sequence[int]) -> None:
        """Reads what consumers before had in hand, until there is no more."""
        keys = [self._ownership.owners_key, *(stream_of(self._topic, number) for number in numbers)]
        positions = {number: self._positions[number] for number in numbers}
        starts = [text for number, position in positions.items() for text in (number, position.after)]
        arguments = [self._ownership.consumer, self._group, self._room(len(numbers)), *starts]
        answer = await self._handed_out_script(keys=keys, args=arguments)
        for position in positions.values():
            position.checked = True  # nothing is answered about a stream that is another's by now
        for found, group_at, entries in answer:
            number, position = int(found), positions[int(found)]
            if self._positions.get(number) is not position or not position.pending:
                continue  # it was let go meanwhile, or only looked at
            for name, fields in entries:
                position.after = name.decode()
                pairs = fields or []
                self._submit(number, position.after, dict(zip(pairs[::2], pairs[1::2], strict=False)))
            position.pending = bool(entries)
            if entries:
                position.checked = False  # there may be more
            else:
                position.after = position.group_at = group_at.decode()

    async def _read_new(self) -> None:
        """Waits for new entries, and takes them before the server knows: what it is told is a write to its disk."""
        found = {number: position for number, position in self._positions.items() if not position.pending}
        positions = {stream_of(self._topic, number): (number, position) for number, position in found.items()}
        if not positions:
            await asyncio.sleep(BLOCK)
            return
        after: dict[Any, Any] = {stream: position.after for stream, (_, position) in positions.items()}
        answer: Any = await self._waits.xread(after, count=self._room(len(after)), block=round(BLOCK * 1000))
        for stream, entries in answer:
            number, position = positions[stream.decode()]
            if self._positions.get(number) is position and number in self._ownership.held:
                for entry, fields in entries:
                    position.take(entry.decode())
                    self._submit(number, position.after, fields)

    def _submit(self, number: int, entry: str, fields: dict[bytes, bytes]) -> None:
        if self._lanes.passes_over(fields.get(b"type", b"").decode(errors="replace")):
            self._done(number, entry)
        else:
            self._lanes.submit(_event_of(number, entry, fields), partial(self._done, number, entry), tag=number)

    def _done(self, number: int, entry: str) -> None:
        self._handled[number].append(entry)
        self._any_handled.set()

    async def _settle_for_ever(self) -> None:
        while True:
            await self._any_handled.wait()
            self._any_handled.clear()
            await self._settle(self._positions)
            end_if_cancelled()
            await asyncio.sleep(SETTLE_EVERY)

    async def _settle(self, positions: Mapping[int, StreamPosition]) -> None:
        """Tells the server what was taken and handled; what it did not confirm is told again."""
        async with self._settling:
            if not any(self._handled.values()):
                return
            handled = {number: entries[:MOST_AT_ONCE] for number, entries in self._handled.items() if entries}
            owned = {number: positions[number] for number in handled if number in positions}
            claims = {number: one.claim(self._handled[number]) for number, one in owned.items()}
            keys, words = [self._ownership.owners_key], list[Any]()
            for number, entries in handled.items():
                claim, at = claims.get(number, StreamClaim()), owned[number].group_at if number in owned else ""
                keys.append(stream_of(self._topic, number))
                words += (number, at, claim.last, claim.taken, len(claim.in_hand), *claim.in_hand)
                words += (len(entries), *entries)
            answer = await self._settle_script(keys=keys, args=[self._ownership.consumer, self._group, *words])
            known = {int(number) for number, as_known in answer if as_known}
            for number in known & owned.keys():
                owned[number].claimed(claims[number])
            for number, entries in handled.items():
                # What a repeated claim does not cover is told the next time.
                later = owned[number].unclaimed(entries) if number in owned else []
                self._handled[number][: len(entries)] = later
                if later:
                    self._any_handled.set()
        await self._follow({number for number in owned.keys() - known if self._positions.get(number) is owned[number]})

    async def _follow(self, moved: Collection[int]) -> None:
        if moved:
            _log.warning("a group stands elsewhere than expected", group=self._group, topic=self._topic)
            await self._begin_anew(moved)

    async def _trim_for_ever(self) -> None:
        while True:
            for number in list(self._positions):
                await self._trim_script(keys=[stream_of(self._topic, number)], args=[round(self._retention * 1000)])
                end_if_cancelled()
            await asyncio.sleep(TRIM_EVERY)


def _is_missing(error: BaseException) -> bool:
    return isinstance(error, ResponseError) and "NOGROUP" in str(error)


def _event_of(number: int, entry: str, fields: dict[bytes, bytes]) -> Event:
    """Reads an entry; one that is no event of ours becomes one without a type, for the handler to refuse."""
    payload = fields.pop(DATA, b"")
    try:
        return event_from({name.decode(): value.decode() for name, value in fields.items()}, payload)
    except (NotAnEvent, UnicodeDecodeError):
        return Event(id=f"{number}-{entry}", payload=payload)
