"""Runs the handler of a consumer: the events of one key one after the other, those of other keys at the same time."""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass, field
from random import Random
from types import TracebackType
from typing import Self

from soukapi.v1.event_pb2 import Event

from souk.events.broker import Handle
from souk.resilience.backoff import Backoff
from souk.telemetry.logs import logger

_log = logger("events")


@dataclass(frozen=True, slots=True)
class LaneSettings:
    """The limits of one consumer: `events` and `octets` of payload in hand, and `at_once` handlers that run.

    At least one event is always taken, however large. `backoff` is the pause after a handler raised.
    """

    events: int = 256
    octets: int = 16 << 20
    at_once: int = 64
    backoff: Backoff = field(default_factory=lambda: Backoff(0.1, 5.0))


@dataclass(slots=True)
class _Lane:
    waiting: deque[tuple[Event, Callable[[], None]]] = field(default_factory=deque)
    task: "asyncio.Task[None] | None" = None
    ended: bool = False


class KeyLanes:
    """Hands events to `handle`, as the broker port promises; used as `async with`, which ends all handlers.

    With `types`, events of other types are passed over. An event is in hand from `submit` until its `done` was called.
    A `tag` says by what the broker may take events back, such as a partition. Events of one key with different tags are
    in different lanes: the broker gives no order between them, and may take back the ones without the others.
    """

    def __init__(
        self,
        handle: Handle,
        settings: LaneSettings | None = None,
        random: Random | None = None,
        *,
        types: Collection[str] = (),
    ) -> None:
        self._handle = handle
        self._types = frozenset(types)
        self._settings = settings or LaneSettings()
        self._random = random or Random()
        self._permits = asyncio.Semaphore(self._settings.at_once)
        self._lanes: dict[tuple[Hashable, str], _Lane] = {}
        self._events = 0
        self._octets = 0
        self._room = asyncio.Event()
        self._room.set()

    @property
    def in_hand(self) -> int:
        """How many events are in hand."""
        return self._events

    @property
    def has_room(self) -> bool:
        """Whether another event may be taken now."""
        return self._events < self._settings.events and self._octets < self._settings.octets

    def passes_over(self, type_name: str) -> bool:
        """Whether an event of this type is not for the handler; what has no type is."""
        return bool(self._types) and bool(type_name) and type_name not in self._types

    async def room(self) -> None:
        """Waits until another event may be taken."""
        while not self.has_room:
            self._room.clear()
            await self._room.wait()

    def submit(self, event: Event, done: Callable[[], None], tag: Hashable = None) -> None:
        """Puts an event behind those of its key; `done` is called once it was handled.

        One that is passed over is done at once. The caller first waits for `room`. An event that is taken back, or in
        hand at the end, is never done.
        """
        if self.passes_over(event.type):
            done()
            return
        name = (tag, event.key)
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = _Lane()
        lane.waiting.append((event, done))
        self._events += 1
        self._octets += len(event.payload)
        if lane.task is None:
            lane.task = asyncio.create_task(self._run(name, lane), name="events of a key")

    async def take_back(self, tags: Collection[Hashable]) -> None:
        """Ends the handlers of events with these tags, and returns once none of them runs."""
        await self._end([name for name in self._lanes if name[0] in tags])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end(list(self._lanes))

    async def _run(self, name: tuple[Hashable, str], lane: _Lane) -> None:
        while lane.waiting:
            event, done = lane.waiting[0]
            await self._until_handled(event, lane)
            lane.waiting.popleft()
            self._release(event)
            done()
        if self._lanes.get(name) is lane:
            del self._lanes[name]

    async def _until_handled(self, event: Event, lane: _Lane) -> None:
        tries = 0
        while True:
            try:
                async with self._permits:
                    await self._handle(event)
                if not lane.ended:
                    return
                # A handler that swallows its cancellation ends its lane all the same.
                raise asyncio.CancelledError
            except Exception as error:
                if lane.ended:
                    raise
                tries += 1
                pause = self._settings.backoff.delay(tries, self._random)
                kind = type(error).__name__
                _log.warning("an event is handed over again", event_id=event.id, error=kind, next_try=round(pause, 3))
            await asyncio.sleep(pause)

    def _release(self, event: Event) -> None:
        self._events -= 1
        self._octets -= len(event.payload)
        self._room.set()

    async def _end(self, names: Collection[tuple[Hashable, str]]) -> None:
        lanes = [self._lanes.pop(name) for name in names]
        tasks = [lane.task for lane in lanes if lane.task is not None]
        for lane in lanes:
            lane.ended = True
        for task in tasks:
            task.cancel()
        ended = asyncio.gather(*tasks, return_exceptions=True)
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError:
            # Even a caller that is cancelled leaves no handler behind.
            await ended
            raise
        # Here and not in the tasks: one that is cancelled before its first step runs none of its code.
        for lane in lanes:
            for event, _ in lane.waiting:
                self._release(event)
