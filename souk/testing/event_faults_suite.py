"""The conformance suite of what must not matter to events: repeats, waits, lost answers, killed consumers, bad events.

A test class derives from EventFaultsSuite and gives it a fixture `database` that holds only the platform's tables.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from random import Random
from typing import Any, TypeVar, cast

import pytest
from google.protobuf.wrappers_pb2 import Int64Value, StringValue
from soukapi.v1.event_pb2 import DeliveryResult, Event

from souk.events.direct import DirectSender
from souk.events.envelope import unpack
from souk.events.parked_store import ParkedDecision
from souk.events.relay import edit
from souk.events.sender import EventSender, Route
from souk.kernel.clock import SystemClock
from souk.kernel.errors import StoreUnavailable
from souk.store.database import Database, Transaction, Work
from souk.store.inbox import Inbox
from souk.testing.brokered_suite import StoringBroker
from souk.testing.events_suite import sibling
from souk.testing.parked_keys_suite import parks
from souk.testing.relaying import Listener, World, eventually, running

T = TypeVar("T")
KEYS = ("a", "b", "c", "d")


class UnreliableSender:
    """Sends events by `sender`, and injects faults: whole batches twice, lost answers, answers about a part, waits, and
    another order of the keys. Those of one key stay in order, as every sender promises. The first batch is sent twice:
    a busy machine may send all in one."""

    def __init__(self, sender: EventSender, seed: int) -> None:
        self._sender = sender
        self._random = Random(seed)
        self._sent = 0

    async def hand_over(self, route: Route, events: Sequence[Event]) -> Sequence[DeliveryResult]:
        fault = self._random.choice(("none", "twice", "lost", "part", "late", "keys")) if self._sent else "twice"
        self._sent += 1
        if fault == "late":
            await asyncio.sleep(self._random.uniform(0.001, 0.02))
        if fault == "keys":
            ranks = {key: self._random.random() for key in sorted({event.key for event in events})}
            events = sorted(events, key=lambda event: ranks[event.key])
        if fault == "twice":
            await self._sender.hand_over(route, events)
        results = await self._sender.hand_over(route, events)
        if fault == "lost":
            raise ConnectionError("the answer was lost")
        return results[: self._random.randrange(len(results) + 1)] if fault == "part" else results


class Counting:
    """A consumer with a database: it counts each event once, by its inbox, and keeps in which order."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.inbox = Inbox()
        self.once: list[Event] = []

    async def __call__(self, event: Event) -> None:
        async def work(tx: Transaction) -> None:
            if await self.inbox.first_time(tx, "all", event.id):
                tx.after_commit(lambda: self.once.append(event))

        await self.database.run(work)

    def of(self, key: str) -> list[int]:
        """The numbers of a key, in the order in which they were counted."""
        return [unpack(event, Int64Value).value for event in self.once if event.key == key]


class TakingSender:
    """Takes every event at once, and keeps their numbers."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.taken = asyncio.Condition()

    async def hand_over(self, route: Route, events: Sequence[Event]) -> Sequence[DeliveryResult]:
        async with self.taken:
            self.numbers += [unpack(event, Int64Value).value for event in events]
            self.taken.notify_all()
        return [DeliveryResult(event_id=event.id) for event in events]

    async def has(self, *numbers: int) -> None:
        async with self.taken, asyncio.timeout(60):
            await self.taken.wait_for(lambda: len(self.numbers) >= len(numbers))
        assert self.numbers == list(numbers)


class SlowToRecord:
    """A database that records no delivery until it is `open`; the first one fails if `fails`."""

    def __init__(self, database: Database, *, fails: bool) -> None:
        self._database = database
        self._fails = fails
        self.open = asyncio.Event()

    async def run(self, work: Work[T], **options: bool) -> T:
        """Runs the work in the database."""
        if "_record" in work.__qualname__:
            await self.open.wait()
            if self._fails:
                self._fails = False
                raise StoreUnavailable("away for a moment")
        return await self._database.run(work, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


class EventFaultsSuite:
    """Tests of faults between an outbox and its consumers."""

    @pytest.fixture
    async def world(self, database: Database) -> AsyncIterator[World]:
        world = World(database)
        yield world
        await world.services.close()

    @pytest.mark.parametrize("seed", [1, 2, 3])
    async def test_repeats_delays_and_lost_answers_change_nothing(self, world: World, seed: int) -> None:
        counting = Counting(world.database)
        await world.services.start("mail", {"all": counting})
        sender = UnreliableSender(DirectSender("source", world.services.channel, SystemClock()), seed)
        async with running(world.relay(("mail", "all"), sender=sender)):
            for number in range(25):
                for key in KEYS:
                    await world.publish(number, key=key)
            await eventually(world.all_delivered, 60.0)
        assert {key: counting.of(key) for key in KEYS} == {key: list(range(25)) for key in KEYS}
        assert counting.inbox.repeats["all"]

    @pytest.mark.parametrize("fails", [False, True])
    async def test_while_a_batch_is_recorded_the_next_is_sent(self, world: World, fails: bool) -> None:
        """If the first cannot be recorded, neither is the second, and both come again in order."""
        slow, sender = SlowToRecord(world.database, fails=fails), TakingSender()
        world.database = cast(Database, slow)
        async with running(world.relay(("mail", "all"), sender=sender)):
            await world.publish(1)
            await sender.has(1)
            await world.publish(2)
            await sender.has(1, 2)
            slow.open.set()
            await eventually(world.all_delivered, 60.0)
        assert sender.numbers == ([1, 2, 1, 2] if fails else [1, 2])

    async def test_a_consumer_that_is_killed_in_the_middle_of_a_batch_loses_nothing(self, world: World) -> None:
        counting, reached, stuck = Counting(world.database), asyncio.Event(), asyncio.Event()

        async def killed_at_three(event: Event) -> None:
            if unpack(event, Int64Value).value == 3:
                reached.set()
                await stuck.wait()
            await counting(event)

        await world.services.start("mail", {"all": killed_at_three})
        await world.publish(*range(6))
        async with running(world.relay(("mail", "all"))):
            await reached.wait()
            await world.services.stop("mail")
            assert counting.of("k") == [0, 1, 2]
            await world.services.start("mail", {"all": counting})
            await eventually(world.all_delivered)
        assert counting.of("k") == list(range(6))
        assert counting.inbox.repeats["all"] == 3

    async def test_an_event_of_another_type_or_version_is_parked_with_a_reason_that_says_so(self, world: World) -> None:
        def reads_text(event: Event) -> None:
            unpack(event, StringValue)

        listener = Listener(reads_text)
        await world.services.start("mail", {"all": listener})
        await world.publish(1)
        async with running(world.relay(("mail", "all"))) as relay:
            await parks(relay, 1)
            (one,) = await relay.parked()
        assert one.cause.reason == "expected google.protobuf.StringValue, got google.protobuf.Int64Value"

    async def test_an_event_that_is_too_large_for_the_broker_is_parked_and_may_be_edited(self, world: World) -> None:
        broker = StoringBroker()
        broker.largest = 3
        await world.publish(1 << 40)
        await world.publish(2)
        async with running(world.relay(broker=broker)) as relay:
            await parks(relay, 1 << 40)
            await world.publish(3, key=sibling("k"))
            await eventually(lambda: _stored(broker, 2, 3))
            (one,) = await relay.parked()
            assert (one.consumer, one.cause.reason) == ("broker/all", "the broker takes 3 bytes")
            smaller = Int64Value(value=1).SerializeToString()
            await edit(world.database, [one], smaller, ParkedDecision("ada", "the broker takes 3 bytes"))
            await eventually(world.all_delivered)
        assert broker.numbers == [2, 3, 1]


async def _stored(broker: StoringBroker, *numbers: int) -> bool:
    return broker.numbers == list(numbers)
