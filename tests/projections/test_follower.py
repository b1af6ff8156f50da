"""A follower of the event store handles every event once and in order, also one whose transaction commits late."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from souk.projections import follower as module
from souk.projections.follower import EventFollower
from souk.store.database import Database, Transaction
from souk.store.event_store import EventStore, NewEvent, RecordedEvent
from souk.store.migrations import PLATFORM, migrate, platform_migrations
from souk.store.postgres.database import PostgresDatabase
from souk.store.sqlite.database import SqliteDatabase

LOG = EventStore()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str | None:
    return request.getfixturevalue("migrated_url") if request.param == "postgres" else None


@pytest.fixture
async def database(url: str | None, tmp_path: Path) -> AsyncIterator[Database]:
    opened: Database
    if url is None:
        opened = await SqliteDatabase.open(tmp_path / "shop.db")
    else:
        opened = await PostgresDatabase.open(url)
    await migrate(opened, platform_migrations(), PLATFORM)
    yield opened
    await opened.close()


class Seen:
    """What was handled, as committed."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []
        self.fails = 0

    async def handle(self, tx: Transaction, events: Sequence[RecordedEvent]) -> None:
        if self.fails:
            self.fails -= 1
            raise RuntimeError("not now")
        found = [(event.stream, event.version) for event in events]
        tx.after_commit(lambda: self.events.extend(found))


async def append(database: Database, stream: str, version: int) -> None:
    await database.run(lambda tx: LOG.append(tx, stream, version - 1, [NewEvent("Happened", b"{}", 0)]))


async def caught_up(follower: EventFollower) -> None:
    while await follower.step():
        pass


async def test_every_event_once_and_in_order(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 3)
    seen = Seen()
    follower = EventFollower("test", database, seen.handle)
    assert not await follower.step()
    for number in range(1, 5):
        await append(database, "A", number)
        await append(database, "B", number)
    await caught_up(follower)
    expected = [(stream, number) for number in range(1, 5) for stream in "AB"]
    assert seen.events == expected
    await append(database, "A", 5)
    await caught_up(EventFollower("test", database, seen.handle))  # as after a restart
    assert seen.events == [*expected, ("A", 5)]


async def test_what_was_not_handled_comes_again(database: Database) -> None:
    seen = Seen()
    seen.fails = 1
    follower = EventFollower("test", database, seen.handle)
    await append(database, "A", 1)
    with pytest.raises(RuntimeError):
        await follower.step()
    await caught_up(follower)
    assert seen.events == [("A", 1)]


async def test_several_share_the_events(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 2)
    seen = Seen()
    for number in range(1, 31):
        await append(database, "A", number)
    await asyncio.gather(*(caught_up(EventFollower("test", database, seen.handle)) for _ in range(5)))
    assert seen.events == [("A", number) for number in range(1, 31)]


async def test_one_that_commits_late_is_not_missed(postgres_url: str) -> None:
    """Its position is smaller than that of an event that is there already."""
    database = await PostgresDatabase.open(postgres_url)
    await migrate(database, platform_migrations(), PLATFORM)
    seen = Seen()
    follower = EventFollower("test", database, seen.handle)
    async with database._pool.acquire() as connection:
        late = connection.transaction()
        await late.start()
        sql = (
            "INSERT INTO souk_event_store (stream, version, type, payload, metadata, time) VALUES ($1,1,'T',$2,'{}',0)"
        )
        await connection.execute(sql, "late", b"")
        await append(database, "early", 1)
        step = asyncio.create_task(follower.step())
        done, _ = await asyncio.wait([step], timeout=0.5)
        assert not done
        assert not seen.events
        await late.commit()
    await step
    await caught_up(follower)
    assert seen.events == [("late", 1), ("early", 1)]
    await database.close()
