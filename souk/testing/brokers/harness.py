"""What the conformance suite of brokers needs from each: the server as it can be harmed, and ways to connect to it."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol
from uuid import uuid4

from soukapi.v1.event_pb2 import DeliveryResult, Event

from souk.events.broker import Broker, BrokerUnavailable
from souk.resilience.backoff import Backoff

PATIENCE = 240.0
"""The longest that a test waits for anything, in seconds; brokers take long to elect and to start."""


class BrokerServer(Protocol):
    """A real broker's process, on ports that stay the same."""

    @property
    def url(self) -> str:
        """The URL by which it is opened."""
        ...

    async def start(self) -> None:
        """Starts it on its data, and returns once it takes connections."""
        ...

    async def stop(self) -> None:
        """Stops it as an operator would."""
        ...

    def kill(self) -> None:
        """Kills it with SIGKILL, and returns once it is gone."""
        ...


def event(key: str, number: int, *, size: int = 0, type_name: str = "test.v1.Happened") -> Event:
    """Makes the event `number` of a key; `size` octets of payload."""
    made = Event(
        id=f"EVT-{key}-{number}-{uuid4().hex[:8]}",
        type=type_name,
        source="source",
        key=key,
        payload=number.to_bytes(4, "big") + b"x" * max(0, size - 4),
        traceparent=f"00-{'a' * 32}-{'b' * 16}-01",
        tracestate="rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
    )
    made.time.FromMicroseconds(1_764_000_000_123_456)
    return made


def run_of(key: str, numbers: Iterable[int]) -> list[Event]:
    """Makes the events of one key with these numbers."""
    return [event(key, number) for number in numbers]


def number_of(event: Event) -> int:
    """Returns the number that `event` was made with."""
    return int.from_bytes(event.payload[:4], "big")


@dataclass
class Recorder:
    """A handler that records what it handled; `before` runs first, and may raise or wait."""

    before: Callable[[Event], object] | None = None
    handled: list[Event] = field(default_factory=list)
    began: list[Event] = field(default_factory=list)
    error: BaseException | None = None
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _noticing: "asyncio.Future[None] | None" = None

    async def __call__(self, event: Event) -> None:
        self.began.append(event)
        await self._notify()
        if self.before is not None:
            result = self.before(event)
            if asyncio.iscoroutine(result):
                await result
        self.handled.append(event)
        await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def ended(self, task: "asyncio.Task[None]") -> None:
        """Ends the waits of a recorder whose consumer has ended with an error."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.error = error
            self._noticing = asyncio.ensure_future(self._notify())

    async def until(self, check: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Waits until `check` holds; it is called whenever an event begins or was handled."""
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(lambda: self.error is not None or check())
        except TimeoutError:
            raise AssertionError(f"not within {seconds} s; handled so far: {len(self.handled)}") from None
        if self.error is not None:
            raise AssertionError("the consumer has ended") from self.error

    async def has(self, events: Iterable[Event], seconds: float = PATIENCE) -> None:
        """Waits until all these were handled, each at least once, in any order."""
        wanted = {event.id for event in events}
        await self.until(lambda: wanted <= {event.id for event in self.handled}, seconds)

    @property
    def ids(self) -> list[str]:
        """The ids of the handled events, in order."""
        return [event.id for event in self.handled]

    def numbers(self) -> dict[str, list[int]]:
        """Returns the numbers that were handled, by key, in order, each as often as it was handled."""
        found: dict[str, list[int]] = defaultdict(list)
        for one in self.handled:
            found[one.key].append(number_of(one))
        return dict(found)


def first_times(numbers: Iterable[int]) -> list[int]:
    """Returns the numbers in the order in which each came first."""
    return list(dict.fromkeys(numbers))


def never_back(numbers: list[int]) -> bool:
    """Whether a key's events came in order: one may come again, but then all after it come again behind it."""
    return all(later <= earlier + 1 for earlier, later in itertools.pairwise(numbers))


@dataclass
class Bus:
    """A broker's server with one topic of the test's own, and connections to it that are closed at the end.

    `restart_mixes` says why this server, in a restart, may mix the order of what it stores; empty if it does not.
    """

    server: BrokerServer
    open_broker: Callable[[str], Broker]
    topic: str = field(default_factory=lambda: f"souk.test-{uuid4().hex[:12]}")
    restart_mixes: str = ""
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    def connect(self) -> Broker:
        """Opens a broker as another process would."""
        broker = self.open_broker(self.server.url)
        self._stack.push_async_callback(broker.close)
        return broker

    async def close(self) -> None:
        """Closes what was opened."""
        await self._stack.aclose()

    @asynccontextmanager
    async def consuming(
        self,
        handle: Recorder,
        group: str = "notification/mails",
        *,
        broker: Broker | None = None,
        topic: str = "",
        types: Collection[str] = (),
    ) -> AsyncIterator["asyncio.Task[None]"]:
        """Consumes in the block, over a connection of its own unless one is given."""
        consumer = broker or self.connect()
        task = asyncio.create_task(consumer.consume(topic or self.topic, group, handle, types))
        task.add_done_callback(handle.ended)
        try:
            yield task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def publish(self, events: list[Event], *, broker: Broker | None = None, topic: str = "") -> None:
        """Publishes until every event has a result, as a relay does: from the first of a key that has none."""
        publisher, backoff, tries = broker or self.connect(), Backoff(0.05, 1.0, jitter=0.0), 0
        waiting = list(events)
        async with asyncio.timeout(PATIENCE):
            while waiting:
                stored = await self._try(publisher, topic or self.topic, waiting)
                assert not [result for result in stored if result.poison or result.failure]
                done = {result.event_id for result in stored}
                waiting = [event for event in waiting if event.id not in done]
                if waiting:
                    tries += 1
                    await asyncio.sleep(backoff.longest(tries))

    async def _try(self, publisher: Broker, topic: str, events: list[Event]) -> list[DeliveryResult]:
        try:
            return list(await publisher.publish(topic, events))
        except BrokerUnavailable:
            return []


async def unavailable(broker: Broker, topic: str, seconds: float = 30.0) -> None:
    """Waits until publishing says that the broker is away; each try must end by itself within `seconds`."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                if not await broker.publish(topic, [event("probe", 0)]):
                    return
            except BrokerUnavailable:
                return
