"""The conformance suite of what follows a parked event of the same key, for any database.

A test class derives from ParkedKeysSuite and gives it a fixture `database` that holds only the platform's tables.
"""

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from typing import Any, TypeVar, cast

import pytest
from google.protobuf.wrappers_pb2 import Int64Value
from soukapi.v1.event_pb2 import Event
from structlog.testing import capture_logs

from souk.events.parked_store import ParkedDecision, event_record
from souk.events.relay import Relay, discard, edit
from souk.kernel.errors import PoisonedEvent, StoreUnavailable
from souk.store.database import Database, Work
from souk.testing.brokered_suite import StoringBroker
from souk.testing.events_suite import sibling
from souk.testing.relaying import Listener, World, eventually, running

T = TypeVar("T")


class Refusing(Listener):
    """A listener that refuses the events with these `numbers`."""

    def __init__(self, *numbers: int) -> None:
        super().__init__(self._refuse)
        self.refused = set(numbers)

    def _refuse(self, event: Event) -> None:
        if Int64Value.FromString(event.payload).value in self.refused:
            raise PoisonedEvent("refused")


class FullDatabase:
    """A database that records nothing while it is `full`: each transaction of a relay that locks its leases fails."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.full = False

    async def run(self, work: Work[T], *, guarded: bool = False, grouped: bool = False) -> T:
        """Runs the work in the database, unless it is full."""
        if self.full and "_record" in work.__qualname__:
            raise StoreUnavailable("database or disk is full")
        return await self._database.run(work, guarded=guarded, grouped=grouped)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


async def parks(relay: Relay, *numbers: int) -> None:
    """Waits until exactly the events with these numbers are parked."""

    async def are_parked() -> bool:
        return [Int64Value.FromString(one.event.payload).value for one in await relay.parked()] == list(numbers)

    await eventually(are_parked)


class ParkedKeysSuite:
    """Tests of consumers that wait after a parked event, and of dead letters that cannot be written."""

    @pytest.fixture
    async def world(self, database: Database) -> AsyncIterator[World]:
        world = World(database)
        yield world
        await world.services.close()

    async def test_later_events_of_a_key_wait_until_the_parked_one_is_replayed(self, world: World) -> None:
        listener = Refusing(1, 2)
        await world.services.start("mail", {"all": listener})
        await world.publish(1, 2, 3, key="k")
        async with running(world.relay(("mail", "all"), after_parked="wait")) as relay:
            await parks(relay, 1)
            # Of the same partition, and published last: what was free to leave has left when it arrives.
            await world.publish(7, key=sibling("k"))
            await listener.has(7)
            listener.refused = {2}
            await relay.replay((await relay.parked())[0].event.id)
            await listener.has(7, 1)
            await parks(relay, 2)
            await world.publish(8, key=sibling("k"))
            await listener.has(7, 1, 8)
            listener.refused = set()
            await relay.replay((await relay.parked())[0].event.id)
            await listener.has(7, 1, 8, 2, 3)
            await eventually(world.all_delivered)

    async def test_they_go_on_when_the_parked_one_is_discarded(self, world: World) -> None:
        listener = Refusing(1)
        await world.services.start("mail", {"all": listener})
        await world.publish(1, 2, 3)
        async with running(world.relay(("mail", "all"), after_parked="wait")) as relay:
            await parks(relay, 1)
            (one,) = await relay.parked()
            await discard(world.database, one.event.id, one.consumer, ParkedDecision("ada", "a test"))
            await listener.has(2, 3)

    async def test_they_go_on_behind_one_that_was_edited(self, world: World) -> None:
        listener = Refusing(1)
        await world.services.start("mail", {"all": listener})
        await world.publish(1, 2, 3)
        async with running(world.relay(("mail", "all"), after_parked="wait")) as relay:
            await parks(relay, 1)
            (one,), decision = await relay.parked(), ParkedDecision("ada", "a digit was lost")
            stale = replace(one, since=one.since - 1)
            with pytest.raises(LookupError):
                await edit(world.database, [one, stale], b"", decision)
            await edit(world.database, [one], Int64Value(value=10).SerializeToString(), decision)
            await listener.has(10, 2, 3)
            with pytest.raises(LookupError):
                await edit(world.database, [one], b"", decision)
        record = await world.database.read(lambda tx: event_record(tx, one.event.id))
        assert record is not None
        (kept,) = record.decisions
        assert (kept.word, kept.decision, kept.before) == ("edited", decision, record.event)
        assert record.event.payload == Int64Value(value=1).SerializeToString()

    async def test_one_consumer_waits_and_another_does_not(self, world: World) -> None:
        listener, other = Refusing(1), Listener()
        await world.services.start("mail", {"all": listener})
        await world.services.start("stats", {"all": other})
        await world.publish(1, 2, 3)
        async with running(world.relay(("mail", "all"), ("stats", "all"), after_parked="wait")) as relay:
            await other.has(1, 2, 3)
            await parks(relay, 1)
            assert listener.numbers == []

    async def test_a_relay_that_takes_over_lets_them_wait_as_well(self, world: World) -> None:
        listener = Refusing(1)
        await world.services.start("mail", {"all": listener})
        await world.publish(1, 2)
        async with running(world.relay(("mail", "all"), after_parked="wait")) as relay:
            await parks(relay, 1)
        listener.refused = set()
        async with running(world.relay(("mail", "all"), after_parked="wait", owner="relay-2")) as relay:
            await world.publish(7, key=sibling("k"))
            await listener.has(7)
            await relay.replay((await relay.parked())[0].event.id)
            await listener.has(7, 1, 2)

    async def test_with_a_broker_a_consumer_that_waits_is_called(self, world: World) -> None:
        broker, listener = StoringBroker(), Refusing(1)
        await world.services.start("mail", {"all": listener})
        await world.publish(1, 2)
        async with running(world.relay(("mail", "all"), broker=broker, after_parked="wait")) as relay:
            await parks(relay, 1)
            await world.publish(7, key=sibling("k"))
            await listener.has(7)
            listener.refused = set()
            await relay.replay((await relay.parked())[0].event.id)
            await listener.has(7, 1, 2)
            await eventually(world.all_delivered)
        assert broker.numbers == [1, 2, 7]

    @pytest.mark.parametrize("after_parked", ["wait", "pass"])
    async def test_a_key_stands_still_while_its_dead_letter_cannot_be_written(
        self, world: World, after_parked: Any
    ) -> None:
        full, listener = FullDatabase(world.database), Refusing(1)
        await world.services.start("mail", {"all": listener})
        filled = World(cast(Database, full))
        filled.services = world.services
        full.full = True
        await world.publish(1)
        with capture_logs() as logs:
            async with running(filled.relay(("mail", "all"), after_parked=after_parked)) as relay:
                await eventually(lambda: _logged(logs, "an event cannot be parked, and its key waits"))
                await world.publish(2)
                assert await relay.parked() == []
                full.full = False
                await parks(relay, 1)
                await world.publish(7, key=sibling("k"))
                await listener.until(lambda: 7 in listener.numbers)
        assert (2 in listener.numbers) == (after_parked == "pass")


async def _logged(logs: Iterable[Any], event: str) -> bool:
    return any(entry["event"] == event for entry in logs)
