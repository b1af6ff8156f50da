"""Conformance tests of idempotency keys and migrations, for every adapter of the database port."""

import asyncio
from pathlib import Path

import pytest
from google.protobuf.wrappers_pb2 import Int64Value, StringValue
from google.rpc.error_details_pb2 import RetryInfo
from soukapi.v1.event_pb2 import Event

from souk.kernel.errors import ConfigurationError, DomainError, StoreError
from souk.store.database import Database, Transaction
from souk.store.idempotency import Idempotency, IdempotentAnswer, Scope, StoredReply, once
from souk.store.migrations import PLATFORM, migrate, platform_migrations
from souk.testing.store.suite import MigratedFixtures, Opened, increment, put

SCOPE = Scope("U-1", "/souk.Test/Do", "key-1")


class IdempotencySuite(MigratedFixtures):
    """Tests of keys, fingerprints and stored answers."""

    keys = Idempotency()

    async def test_fifty_at_once_with_one_key_are_one(self, store: Database, other: Database) -> None:
        async def work(tx: Transaction) -> Int64Value:
            return Int64Value(value=await increment(tx))

        await store.run(lambda tx: put(tx, "counter"))
        ways = [way for _ in range(25) for way in (store, other)]
        answers = await asyncio.gather(*(once(way, SCOPE, "1:same", work, Int64Value) for way in ways))
        assert {answer.message.value for answer in answers} == {1}
        assert sum(not answer.replayed for answer in answers) == 1

    async def test_another_request_under_the_same_key_is_refused(self, store: Database) -> None:
        await self._once(store, "1:one", 1)
        with pytest.raises(DomainError) as refused:
            await self._once(store, "1:two", 2)
        assert refused.value.reason == "IDEMPOTENCY_KEY_REUSED"
        assert (await self._once(store, "1:one", 3)).message.value == 1

    async def test_keys_are_apart_by_caller_and_method(self, store: Database) -> None:
        scopes = [Scope(caller, method, "key") for caller in ("a", "b") for method in ("/m", "/n")]
        for number, scope in enumerate(scopes):
            assert not (await self._once(store, f"1:{number}", number, scope)).replayed

    async def test_a_refused_request_leaves_its_key_unused(self, store: Database) -> None:
        async def refuse(tx: Transaction) -> Int64Value:
            raise DomainError("NOT_FOUND", "no such thing")

        with pytest.raises(DomainError):
            await once(store, SCOPE, "1:one", refuse, Int64Value)
        assert not (await self._once(store, "1:two", 2)).replayed

    async def test_a_key_is_bound_once_and_finished_once(self, store: Database) -> None:
        async def bind(tx: Transaction) -> bool:
            return await self.keys.insert(tx, SCOPE, "1:one", "ORD-1")

        assert [await store.run(bind), await store.run(bind)] == [True, False]
        found = await store.read(lambda tx: self.keys.find(tx, SCOPE))
        assert found is not None
        assert (found.subject, found.fingerprint, found.reply) == ("ORD-1", "1:one", None)
        reply = StoredReply.done(StringValue(value=""))
        await store.run(lambda tx: self.keys.finish(tx, SCOPE, reply))
        with pytest.raises(StoreError):
            await store.run(lambda tx: self.keys.finish(tx, SCOPE, StoredReply.done(StringValue(value="late"))))
        found = await store.read(lambda tx: self.keys.find(tx, SCOPE))
        assert found is not None
        assert found.reply is not None
        assert found.reply.replay(StringValue) == StringValue(value="")

    async def test_a_stored_refusal_is_raised_again_with_its_details(self, store: Database) -> None:
        error = DomainError("OUT_OF_STOCK", "not enough", Event(id="P-1"), RetryInfo())
        await store.run(lambda tx: self.keys.insert(tx, SCOPE, "1:one", ""))
        await store.run(lambda tx: self.keys.finish(tx, SCOPE, StoredReply.refused(error)))
        with pytest.raises(DomainError) as refused:
            await self._once(store, "1:one", 1)
        assert (refused.value.reason, refused.value.detail, refused.value.details) == (
            *("OUT_OF_STOCK", "not enough"),
            (Event(id="P-1"), RetryInfo()),
        )

    async def test_an_unfinished_key_says_so(self, store: Database) -> None:
        await store.run(lambda tx: self.keys.insert(tx, SCOPE, "1:one", "ORD-1"))
        with pytest.raises(DomainError) as refused:
            await self._once(store, "1:one", 1)
        assert refused.value.reason == "REQUEST_IN_PROGRESS"

    async def _once(self, store: Database, of: str, value: int, scope: Scope = SCOPE) -> IdempotentAnswer[Int64Value]:
        async def work(tx: Transaction) -> Int64Value:
            return Int64Value(value=value)

        return await once(store, scope, of, work, Int64Value)

    async def test_refused_keys_go_after_their_time_and_others_stay(self, store: Database) -> None:
        await store.run(lambda tx: self._refuse(tx, "U-1", 3))

        async def keep(tx: Transaction) -> None:
            for key, subject in (("order", "ORD-1"), ("running", "")):
                assert await self.keys.insert(tx, Scope("U-1", "/souk.Test/Do", key), "1:x", subject)
            ordered = Scope("U-1", "/souk.Test/Do", "order")
            await self.keys.finish(tx, ordered, StoredReply.refused(DomainError("OUT", "no stock")))

        await store.run(keep)
        assert await store.run(lambda tx: self.keys.sweep_refused(tx)) == 0
        assert await store.run(lambda tx: self.keys.sweep_refused(tx, older_than=-60.0, limit=2)) == 2
        assert await store.run(lambda tx: self.keys.sweep_refused(tx, older_than=-60.0, limit=2)) == 1
        assert await store.read(lambda tx: self._known(tx, "U-1")) == {"order", "running"}

    async def test_of_a_caller_the_newest_refused_keys_are_kept(self, store: Database) -> None:
        for caller in ("U-1", "U-2"):
            await store.run(lambda tx, caller=caller: self._refuse(tx, caller, 5))  # type: ignore[misc]

        async def spread(tx: Transaction) -> None:
            for number in range(5):
                sql = "UPDATE souk_idempotency SET created_at = $1 WHERE idempotency_key = $2"
                await tx.execute(sql, number, f"key-{number}")
            await self.keys.keep_newest_refused(tx, "U-1", most=2)

        await store.run(spread)
        assert await store.read(lambda tx: self._known(tx, "U-1")) == {"key-3", "key-4"}
        assert len(await store.read(lambda tx: self._known(tx, "U-2"))) == 5

    async def _refuse(self, tx: Transaction, caller: str, number: int) -> None:
        for key in range(number):
            scope = Scope(caller, "/souk.Test/Do", f"key-{key}")
            assert await self.keys.insert(tx, scope, "1:x", "")
            await self.keys.finish(tx, scope, StoredReply.refused(DomainError("OUT", "no")))

    async def _known(self, tx: Transaction, caller: str) -> set[str]:
        rows = await tx.fetch("SELECT idempotency_key FROM souk_idempotency WHERE caller = $1", caller)
        return {row["idempotency_key"] for row in rows}


class MigrationSuite:
    """Tests of migrations: numbered files, applied forward only."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "migrations"
        folder.mkdir()
        (folder / "0001_first.sql").write_text("CREATE TABLE first (id BIGINT PRIMARY KEY);\n-- the end; really\n")
        (folder / "0002_second.sql").write_text("CREATE TABLE second (id TEXT); INSERT INTO second VALUES ('a;b');")
        (folder / "README.md").write_text("not a migration")
        return folder

    async def test_each_is_applied_once(self, opened: Opened, folder: Path) -> None:
        database = await opened()
        assert await migrate(database, folder, "test") == 2
        (folder / "0003_third.sqlite.sql").write_text("INSERT INTO second VALUES ('sqlite')")
        (folder / "0003_third.postgres.sql").write_text("INSERT INTO second VALUES ('postgres')")
        assert [await migrate(database, folder, "test"), await migrate(database, folder, "test")] == [1, 0]
        rows = await database.read(lambda tx: tx.fetch("SELECT id FROM second ORDER BY id"))
        assert [row["id"] for row in rows] == ["a;b", database.dialect.name]

    async def test_components_are_apart(self, opened: Opened, folder: Path) -> None:
        database = await opened()
        assert await migrate(database, platform_migrations(), PLATFORM) >= 1
        assert await migrate(database, folder, "test") == 2

    async def test_many_may_start_at_once(self, opened: Opened, folder: Path) -> None:
        databases = [await opened() for _ in range(4)]
        applied = await asyncio.gather(*(migrate(database, folder, "test") for database in databases))
        assert sorted(applied) == [0, 0, 0, 2]

    async def test_a_file_that_changed_is_an_error(self, opened: Opened, folder: Path) -> None:
        database = await opened()
        await migrate(database, folder, "test")
        (folder / "0001_first.sql").write_text("CREATE TABLE first (id TEXT)")
        with pytest.raises(ConfigurationError, match=r"test 0001 \(first\) has changed"):
            await migrate(database, folder, "test")

    async def test_a_newer_database_is_an_error(self, opened: Opened, folder: Path) -> None:
        database = await opened()
        await migrate(database, folder, "test")
        (folder / "0002_second.sql").unlink()
        with pytest.raises(ConfigurationError, match="newer than this program: test is at migration 2, known are 1"):
            await migrate(database, folder, "test")

    @pytest.mark.parametrize(("name", "says"), [("0004_gap.sql", "do not count"), ("0002_twice.sql", "is taken")])
    async def test_numbers_are_without_gaps_and_doubles(
        self, opened: Opened, folder: Path, name: str, says: str
    ) -> None:
        (folder / name).write_text("SELECT 1")
        with pytest.raises(ConfigurationError, match=says):
            await migrate(await opened(), folder, "test")

    async def test_a_migration_that_fails_leaves_nothing(self, opened: Opened, folder: Path) -> None:
        database = await opened()
        (folder / "0003_bad.sql").write_text("INSERT INTO nowhere VALUES (1)")
        with pytest.raises(ConfigurationError, match=r"test 0003 \(bad\)"):
            await migrate(database, folder, "test")
        (folder / "0003_bad.sql").unlink()
        assert await migrate(database, folder, "test") == 2
