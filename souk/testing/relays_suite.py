"""The conformance suite of several relays on one database, and of the inbox.

A test class derives from RelaysSuite and gives it a fixture `database` that holds only the platform's tables.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any, TypeVar, cast

import pytest
from google.protobuf.wrappers_pb2 import Int64Value
from soukapi.v1.event_pb2 import DeliveryResult, Event

from souk.events.relay import RelaySettings
from souk.events.sender import Route
from souk.faults import Faults
from souk.kernel.errors import StoreUnavailable
from souk.store.database import Database, Transaction, Work
from souk.store.inbox import Inbox
from souk.testing.relaying import QUICK, Listener, World, eventually, running

T = TypeVar("T")


class Crash(BaseException):
    """Stands for the death of the process."""


class Gate:
    """A sender that holds every delivery until `open` is set."""

    def __init__(self) -> None:
        self.taken: list[Event] = []
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def hand_over(self, route: Route, events: Sequence[Event]) -> list[DeliveryResult]:
        self.taken += events
        self.reached.set()
        await self.open.wait()
        return [DeliveryResult(event_id=event.id) for event in events]


class Watched:
    """A database that sets `recorded` when the first transaction ends that began after an event was handled."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._handled = False
        self.recorded = asyncio.Event()
        self.faults = Faults({"relay.handled": 0}, strike=self._strike)

    def _strike(self) -> None:
        self._handled = True

    async def run(self, work: Work[T], *, guarded: bool = False, grouped: bool = False) -> T:
        """Runs the work in the database, and notes its end."""
        counts = self._handled
        try:
            return await self._database.run(work, guarded=guarded, grouped=grouped)
        finally:
            if counts:
                self.recorded.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


class RelaysSuite:
    """Tests of crashes, take-overs and repeats."""

    @pytest.fixture
    async def world(self, database: Database) -> AsyncIterator[World]:
        world = World(database)
        yield world
        await world.services.close()

    async def test_the_record_of_a_relay_that_lost_its_lease_is_refused(self, world: World) -> None:
        old, new = Gate(), Gate()
        watched = Watched(world.database)
        await world.publish(1)
        elder = World(cast(Database, watched)).relay(("mail", "all"), owner="old", sender=old, faults=watched.faults)
        async with running(elder):
            await old.reached.wait()
            await world.database.run(lambda tx: tx.execute("UPDATE souk_outbox_lease SET until = 1"))
            async with running(world.relay(("mail", "all"), owner="new", sender=new)):
                await new.reached.wait()
                old.open.set()
                await watched.recorded.wait()
                assert not await world.all_delivered()
                new.open.set()
                await eventually(lambda: world.all_delivered())

    async def test_two_relays_share_the_partitions(self, world: World) -> None:
        settings = RelaySettings(lease=0.6)

        async def shares() -> list[tuple[str, int]]:
            sql = "SELECT owner, COUNT(*) AS n FROM souk_outbox_lease GROUP BY owner ORDER BY owner"
            return [(row["owner"], row["n"]) for row in await world.rows(sql)]

        async def are(*wanted: tuple[str, int]) -> bool:
            return await shares() == list(wanted)

        async with running(world.relay(owner="a", settings=settings)):
            await eventually(lambda: are(("a", 64)))
            async with running(world.relay(owner="b", settings=settings)):
                await eventually(lambda: are(("a", 32), ("b", 32)))
            await eventually(lambda: are(("a", 64)))

    async def test_relays_that_share_keep_the_order_of_every_key(self, world: World) -> None:
        listener = Listener()
        await world.services.start("mail", {"all": listener})
        keys = [f"key-{n}" for n in range(6)]
        settings = RelaySettings(delivery=QUICK.delivery, poll=0.05, linger=0.0, lease=0.3)
        async with running(world.relay(("mail", "all"), owner="a", settings=settings)):
            for number in range(5):
                await asyncio.gather(*(world.publish(number, key=key) for key in keys))
            async with running(world.relay(("mail", "all"), owner="b", settings=settings)):
                for number in range(5, 20):
                    await asyncio.gather(*(world.publish(number, key=key) for key in keys))
                await listener.until(lambda: len(listener.received) >= 20 * len(keys))
        for key in keys:
            assert [Int64Value.FromString(e.payload).value for e in listener.received if e.key == key] == [*range(20)]

    async def test_crash_between_handling_and_recording_delivers_again(self, world: World) -> None:
        listener = Listener()
        await world.services.start("mail", {"all": listener})
        await world.publish(1, 2)

        def die() -> None:
            raise Crash

        with pytest.raises(BaseExceptionGroup) as died:
            await world.relay(("mail", "all"), faults=Faults({"relay.handled": 0}, strike=die)).run()
        assert died.value.subgroup(Crash)
        assert listener.numbers == [1, 2]
        async with running(world.relay(("mail", "all"), owner="relay-2")):
            await listener.has(1, 2, 1, 2)

    async def test_inbox_makes_the_effect_happen_once(self, world: World) -> None:
        await world.database.run(lambda tx: tx.execute("CREATE TABLE effect (event_id TEXT NOT NULL)"))
        inbox, tries = Inbox(), Listener()

        async def handle(event: Event) -> None:
            async def work(tx: Transaction) -> None:
                if await inbox.first_time(tx, "all", event.id):
                    await tx.execute("INSERT INTO effect (event_id) VALUES ($1)", event.id)

            await world.database.run(work)
            await tries(event)
            if len(tries.received) <= 2:
                raise StoreUnavailable("after it took effect")

        await world.services.start("mail", {"all": handle})
        await world.publish(1, 2)
        async with running(world.relay(("mail", "all"))):
            await tries.has(1, 1, 1, 2)
        assert len(await world.rows("SELECT event_id FROM effect")) == 2

    async def test_a_roll_back_forgets_the_mark(self, world: World) -> None:
        inbox = Inbox()

        async def fails(tx: Transaction) -> None:
            assert await inbox.first_time(tx, "c", "e")
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await world.database.run(fails)
        assert await world.database.run(lambda tx: inbox.first_time(tx, "c", "e"))
        assert not await world.database.run(lambda tx: inbox.first_time(tx, "c", "e"))
        assert await world.database.run(lambda tx: inbox.first_time(tx, "other", "e"))

    async def test_of_concurrent_deliveries_one_is_the_first(self, world: World) -> None:
        first_time = partial(Inbox().first_time, consumer="c", event_id="e")
        answers = await asyncio.gather(*(world.database.run(first_time) for _ in range(8)))
        assert sorted(answers) == [False] * 7 + [True]

    async def test_old_marks_are_forgotten_in_bounded_batches(self, world: World) -> None:
        inbox = Inbox()
        for number in range(5):
            await world.database.run(partial(inbox.first_time, consumer="c", event_id=f"e{number}"))
        assert await world.database.run(lambda tx: inbox.forget(tx, 3_600.0, 10)) == 0
        assert await world.database.run(lambda tx: inbox.forget(tx, -1.0, 3)) == 3
        assert await world.database.run(lambda tx: inbox.forget(tx, -1.0, 3)) == 2
