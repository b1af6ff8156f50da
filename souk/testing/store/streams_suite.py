"""Conformance tests of the event store and of snapshots, for every adapter of the database port."""

import asyncio

import pytest

from souk.kernel.errors import DomainError, VersionConflict
from souk.store.database import Database, Transaction
from souk.store.event_store import EventStore, NewEvent
from souk.store.snapshots import Snapshots, StreamSnapshot
from souk.testing.store.suite import MigratedFixtures


def _event(number: int) -> NewEvent:
    return NewEvent("test.Happened", bytes([number]), 1_000 + number, {"number": number, "text": "€"})


class EventStoreSuite(MigratedFixtures):
    """Tests of streams of events."""

    events = EventStore()

    async def test_events_come_back_in_order_as_they_went(self, store: Database) -> None:
        async def append(tx: Transaction) -> list[int]:
            one = await self.events.append(tx, "a", 0, [_event(1), _event(2)])
            return [one, await self.events.append(tx, "a", one, [_event(3)]), await self.events.append(tx, "b", 0, [])]

        assert await store.run(append) == [2, 3, 0]
        loaded = await store.read(lambda tx: self.events.load(tx, "a"))
        assert [(e.stream, e.version, e.type, e.payload, e.time, e.metadata) for e in loaded] == [
            ("a", n, "test.Happened", bytes([n]), 1_000 + n, {"number": n, "text": "€"}) for n in (1, 2, 3)
        ]
        assert [e.version for e in await store.read(lambda tx: self.events.load(tx, "a", after=2))] == [3]
        assert await store.read(lambda tx: self.events.load(tx, "b")) == []

    @pytest.mark.parametrize("expected", [0, 1, 3, 9])
    async def test_another_version_is_a_conflict_and_nothing_is_written(self, store: Database, expected: int) -> None:
        await store.run(lambda tx: self.events.append(tx, "a", 0, [_event(1), _event(2)]))
        with pytest.raises(VersionConflict):
            await store.run(lambda tx: self.events.append(tx, "a", expected, [_event(3)]))
        assert len(await store.read(lambda tx: self.events.load(tx, "a"))) == 2

    async def test_one_of_many_writers_wins(self, store: Database, other: Database) -> None:
        ended = await asyncio.gather(
            *(
                way.run(lambda tx: self.events.append(tx, "a", 0, [_event(1)]))
                for _ in range(10)
                for way in (store, other)
            ),
            return_exceptions=True,
        )
        assert [end for end in ended if not isinstance(end, VersionConflict)] == [1]

    async def test_reload_and_decide_again_loses_nothing(self, store: Database, other: Database) -> None:
        async def append_next(way: Database) -> None:
            while True:
                version = len(await way.read(lambda tx: self.events.load(tx, "a")))
                try:
                    await way.run(lambda tx: self.events.append(tx, "a", version, [_event(version)]))  # noqa: B023
                except VersionConflict:
                    continue
                return

        await asyncio.gather(*(append_next(way) for _ in range(5) for way in (store, other)))
        assert [e.payload[0] for e in await store.read(lambda tx: self.events.load(tx, "a"))] == list(range(10))

    async def test_all_events_in_pages(self, store: Database) -> None:
        for stream in ("a", "b", "c"):
            await store.run(lambda tx: self.events.append(tx, stream, 0, [_event(1), _event(2)]))  # noqa: B023
        read, after = [], 0
        while page := await store.read(lambda tx: self.events.read_all(tx, after=after, limit=4)):  # noqa: B023
            read += [(event.stream, event.version) for event in page]
            after = page[-1].position
        assert read == [(stream, version) for stream in ("a", "b", "c") for version in (1, 2)]


class SnapshotsSuite(MigratedFixtures):
    """Tests of snapshots of long streams; one is made every 3 events here."""

    events = EventStore()

    async def _append(self, store: Database, snapshots: Snapshots, before: int, count: int) -> None:
        async def work(tx: Transaction) -> None:
            after = await self.events.append(tx, "a", before, [_event(before + n) for n in range(1, count + 1)])
            await snapshots.keep(tx, "a", before, after, lambda: b"as of %d" % after)

        await store.run(work)

    async def _loaded(self, store: Database, snapshots: Snapshots) -> tuple[StreamSnapshot | None, list[int]]:
        snapshot, events = await store.read(lambda tx: snapshots.load(tx, "a"))
        return snapshot, [event.version for event in events]

    async def test_only_what_comes_after_a_snapshot_is_loaded(self, store: Database) -> None:
        snapshots = Snapshots(fold=1, every=3)
        assert await self._loaded(store, snapshots) == (None, [])
        await self._append(store, snapshots, 0, 2)
        assert await self._loaded(store, snapshots) == (None, [1, 2])
        await self._append(store, snapshots, 2, 1)
        assert await self._loaded(store, snapshots) == (StreamSnapshot(3, b"as of 3"), [])
        await self._append(store, snapshots, 3, 2)
        assert await self._loaded(store, snapshots) == (StreamSnapshot(3, b"as of 3"), [4, 5])
        await self._append(store, snapshots, 5, 3)  # passes 6, and ends behind it
        assert await self._loaded(store, snapshots) == (StreamSnapshot(8, b"as of 8"), [])

    async def test_a_snapshot_that_another_fold_made_is_not_used(self, store: Database) -> None:
        older, newer = Snapshots(fold=1, every=3), Snapshots(fold=2, every=3)
        await self._append(store, older, 0, 4)
        assert await self._loaded(store, newer) == (None, [1, 2, 3, 4])
        await self._append(store, newer, 4, 2)
        assert await self._loaded(store, older) == (None, [1, 2, 3, 4, 5, 6])
        await self._append(store, older, 6, 3)  # an older program runs on beside the newer one
        assert await self._loaded(store, newer) == (StreamSnapshot(6, b"as of 6"), [7, 8, 9])

    async def test_a_snapshot_that_is_gone_in_between_is_not_missed(self, store: Database) -> None:
        snapshots = Snapshots(fold=1, every=3)
        await self._append(store, snapshots, 0, 4)

        async def work(tx: Transaction) -> tuple[StreamSnapshot | None, list[int]]:
            snapshot, events = await Replaced(fold=1, every=3).load(tx, "a")
            return snapshot, [event.version for event in events]

        assert await store.run(work) == (None, [1, 2, 3, 4])

    async def test_a_transaction_that_fails_leaves_no_snapshot(self, store: Database) -> None:
        snapshots = Snapshots(fold=1, every=3)
        await self._append(store, snapshots, 0, 2)

        async def work(tx: Transaction) -> None:
            await self.events.append(tx, "a", 2, [_event(3)])
            await snapshots.keep(tx, "a", 2, 3, lambda: b"as of 3")
            raise DomainError("NO", "refused")

        with pytest.raises(DomainError):
            await store.run(work)
        assert await self._loaded(store, snapshots) == (None, [1, 2])

    async def test_a_snapshot_can_be_dropped(self, store: Database) -> None:
        snapshots = Snapshots(fold=1, every=3)
        await self._append(store, snapshots, 0, 3)
        await store.run(lambda tx: snapshots.drop(tx, "a"))
        assert await self._loaded(store, snapshots) == (None, [1, 2, 3])


class Replaced(Snapshots):
    """Another program's snapshot takes the place of ours between the two reads."""

    async def _newest(self, tx: Transaction, stream: str) -> StreamSnapshot | None:
        await tx.execute("UPDATE souk_snapshot SET fold = 2")
        return await super()._newest(tx, stream)
