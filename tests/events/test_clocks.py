"""Relays whose clocks are hours apart, on one database: its clock alone judges their leases."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from soukapi.v1.event_pb2 import DeliveryResult, Event

from souk.events.relay import RelaySettings
from souk.events.sender import Route
from souk.kernel.clock import Clock
from souk.kernel.errors import StoreUnavailable
from souk.store.database import Database, Work
from souk.store.migrations import PLATFORM, migrate, platform_migrations
from souk.store.outbox import PARTITIONS, partition_of
from souk.store.postgres.database import PostgresDatabase
from souk.store.sqlite.database import SqliteDatabase
from souk.testing.clocks import AHEAD, BEHIND, TRUE
from souk.testing.postgres import TemporaryPostgres
from souk.testing.relaying import QUICK, World, eventually, running
from souk.testing.relays_suite import Gate

T = TypeVar("T")

PAIRS = [
    pytest.param(TRUE, AHEAD, id="the other is ahead"),
    pytest.param(TRUE, BEHIND, id="the other is behind"),
    pytest.param(AHEAD, TRUE, id="the first is ahead"),
    pytest.param(BEHIND, TRUE, id="the first is behind"),
]
FIRST = next(key for key in map(str, range(10_000)) if partition_of(key) == 0)
"""A key in the partition that whoever takes some takes first."""
HALF = PARTITIONS // 2
PATIENCE = 60.0


class Kept:
    """A sender that delivers at once, and records the events."""

    def __init__(self) -> None:
        self.taken: list[Event] = []

    async def hand_over(self, route: Route, events: Sequence[Event]) -> list[DeliveryResult]:
        self.taken += events
        return [DeliveryResult(event_id=event.id) for event in events]


class Cut:
    """A database from which a dead process is cut off, so that it cannot release its leases."""

    def __init__(self, database: Database) -> None:
        self._database, self.dead = database, False

    async def run(self, work: Work[T], *, guarded: bool = False, grouped: bool = False) -> T:
        """As the database does, for whoever lives."""
        if self.dead:
            raise StoreUnavailable("it is dead")
        return await self._database.run(work, guarded=guarded, grouped=grouped)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


@pytest.fixture(params=["sqlite", "postgres"])
async def world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "postgres":
        server: TemporaryPostgres = request.getfixturevalue("postgres_server")
        database: Database = await PostgresDatabase.open(await server.create_migrated())
    else:
        database = await SqliteDatabase.open(tmp_path / "events.db", clock=TRUE)
    await migrate(database, platform_migrations(), PLATFORM)
    world = World(database)
    yield world
    await world.services.close()
    await database.close()


def lasting(seconds: float) -> RelaySettings:
    """Makes settings with leases of so many seconds."""
    return RelaySettings(delivery=QUICK.delivery, poll=QUICK.poll, linger=0.0, lease=seconds)


async def shares(world: World) -> dict[str, int]:
    """Gives the number of partitions that each relay holds."""
    rows = await world.rows("SELECT owner, COUNT(*) AS n FROM souk_outbox_lease GROUP BY owner")
    return {row["owner"]: row["n"] for row in rows}


async def epoch(world: World) -> int:
    """Gives how often the partition of FIRST was taken."""
    (row,) = await world.rows("SELECT epoch FROM souk_outbox_lease WHERE partition = 0")
    return int(row["epoch"])


@pytest.mark.parametrize(("first", "second"), PAIRS)
async def test_a_live_lease_is_left_alone(world: World, first: Clock, second: Clock) -> None:
    gate, other = Gate(), Kept()
    await world.publish(1, key=FIRST)
    keeping = world.relay(("mail", "all"), owner="keeper", clock=first, settings=lasting(1.5), sender=gate)
    sharing = world.relay(("mail", "all"), owner="other", clock=second, settings=lasting(1.5), sender=other)

    async def are_shared() -> bool:
        return await shares(world) == {"keeper": HALF, "other": HALF}

    async with running(keeping):
        await asyncio.wait_for(gate.reached.wait(), PATIENCE)
        async with running(sharing):
            await eventually(are_shared)
            assert await epoch(world) == 1, "it has a share, and not the partition that is at work"
            gate.open.set()
            await eventually(world.all_delivered)
    assert (len(gate.taken), other.taken) == (1, [])


@pytest.mark.parametrize(("first", "second"), PAIRS)
async def test_a_lease_whose_owner_died_is_not_kept(world: World, first: Clock, second: Clock) -> None:
    gate, heir, brief = Gate(), Kept(), lasting(1.0)
    await world.publish(1, key=FIRST)
    cut = Cut(world.database)
    dying = World(cast(Database, cut)).relay(("mail", "all"), owner="dead", clock=first, settings=brief, sender=gate)
    async with running(dying):
        await asyncio.wait_for(gate.reached.wait(), PATIENCE)
        cut.dead = True
    assert await shares(world) == {"dead": PARTITIONS}

    async def has_all() -> bool:
        return await shares(world) == {"heir": PARTITIONS}

    taking = world.relay(("mail", "all"), owner="heir", clock=second, settings=brief, sender=heir)
    async with running(taking):
        await eventually(world.all_delivered)
        await eventually(has_all)
    assert [event.id for event in heir.taken] == [event.id for event in gate.taken]
