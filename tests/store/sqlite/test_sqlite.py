"""What is particular to SQLite: opening, group commit, errors of the disk."""

import asyncio
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from souk.faults import Faults
from souk.kernel.errors import ConfigurationError, DomainError, StoreCorrupt, StoreError, StoreUnavailable
from souk.store.database import Transaction
from souk.store.sqlite.database import SqliteDatabase
from souk.store.sqlite.errors import translate
from souk.testing.clocks import FakeClock


async def _put(tx: Transaction, name: str, size: int = 1) -> str:
    await tx.execute("INSERT INTO item (name, data) VALUES ($1, $2)", name, b"x" * size)
    return name


async def test_what_it_makes_is_for_its_owner_alone(path: Path, database: SqliteDatabase) -> None:
    made = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert made == {"store.db": 0o600, "store.db-shm": 0o600, "store.db-wal": 0o600}


async def _names(database: SqliteDatabase) -> list[str]:
    return [row["name"] for row in await database.read(lambda tx: tx.fetch("SELECT name FROM item ORDER BY name"))]


async def _create(database: SqliteDatabase) -> None:
    await database.run(lambda tx: tx.execute("CREATE TABLE item (name TEXT PRIMARY KEY, data BYTEA)"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[SqliteDatabase]:
    database = await SqliteDatabase.open(path, strike=pytest.fail)
    await _create(database)
    yield database
    await database.close()


class TestOpening:
    async def test_a_file_that_is_no_database(self, path: Path):
        path.write_bytes(b"this is a letter to my mother" * 100)
        with pytest.raises(ConfigurationError, match="is not a SQLite database"):
            await SqliteDatabase.open(path)

    async def test_a_path_that_cannot_be_opened(self, tmp_path: Path):
        for path in (tmp_path, tmp_path / "nowhere" / "store.db"):
            with pytest.raises(ConfigurationError, match="cannot be opened"):
                await SqliteDatabase.open(path)

    async def test_the_settings_that_durability_stands_on(self, database: SqliteDatabase):
        async def work(tx: Transaction) -> list[object]:
            names = ("journal_mode", "synchronous", "foreign_keys")
            return [(await tx.fetch(f"PRAGMA {name}"))[0][name] for name in names]

        assert await database.run(work) == ["wal", 2, 1]

    async def test_the_databases_clock_is_the_one_it_was_given(self, path: Path):
        clock = FakeClock()
        database = await SqliteDatabase.open(path, clock=clock)
        clock.advance(5)
        row = await database.read(lambda tx: tx.fetch_one(f"SELECT {tx.dialect.now} AS now"))
        assert row is not None
        assert row["now"] == clock.now()
        await database.close()


class TestGroupCommit:
    async def test_concurrent_transactions_share_a_commit(self, path: Path):
        commits = Faults({"store.commit": 0, "store.committed": 0}, strike=lambda: None)
        database = await SqliteDatabase.open(path, faults=commits)
        await _create(database)
        before = commits._passed["store.committed"]
        await asyncio.gather(*(database.run(lambda tx, n=n: _put(tx, f"{n:02}")) for n in range(32)))
        assert commits._passed["store.committed"] - before <= 3
        assert len(await _names(database)) == 32
        await database.close()

    async def test_a_failed_commit_fails_every_member_even_those_that_were_refused(self, path: Path):
        failing = Faults({"store.commit": 1}, strike=lambda: _fail(sqlite3.SQLITE_FULL))
        database = await SqliteDatabase.open(path, faults=failing)
        await _create(database)
        called: list[str] = []

        async def work(tx: Transaction, name: str) -> None:
            await _put(tx, name)
            tx.after_commit(lambda: called.append(name))
            if name == "b":
                raise DomainError("NO", "decided on what the batch wrote")

        ended = await asyncio.gather(
            *(database.run(lambda tx, n=n: work(tx, n)) for n in "abc"), return_exceptions=True
        )
        assert [type(end) for end in ended] == [StoreUnavailable] * 3
        assert len({id(end) for end in ended}) == 3
        assert (called, await _names(database)) == ([], [])
        await database.run(lambda tx: _put(tx, "later"))
        assert await _names(database) == ["later"]
        await database.close()

    async def test_an_error_of_the_disk_in_a_commit_strikes(self, path: Path):
        struck: list[str] = []
        failing = Faults({"store.commit": 1}, strike=lambda: _fail(sqlite3.SQLITE_IOERR_FSYNC))
        database = await SqliteDatabase.open(path, faults=failing, strike=struck.append)
        await _create(database)
        with pytest.raises(StoreUnavailable, match="the disk reports an error"):
            await database.run(lambda tx: _put(tx, "a"))
        assert len(struck) == 1
        assert "failed during a commit" in struck[0]
        await database.close()

    async def test_a_member_that_is_cancelled_before_its_turn_never_happens(self, database: SqliteDatabase):
        tasks = [asyncio.ensure_future(database.run(lambda tx, n=n: _put(tx, f"{n}"))) for n in range(4)]
        tasks[1].cancel()
        await asyncio.sleep(0)
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert await _names(database) == ["0", "3"]

    async def test_a_member_that_is_cancelled_during_the_commit_has_happened(self, database: SqliteDatabase):
        ran = asyncio.Event()
        called: list[str] = []

        async def work(tx: Transaction) -> None:
            await _put(tx, "a")
            tx.after_commit(lambda: called.append("a"))
            ran.set()

        task = asyncio.ensure_future(database.run(work))
        await ran.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await database.run(lambda tx: _put(tx, "b"))
        assert (task.cancelled(), called, await _names(database)) == (True, ["a"], ["a", "b"])


class TestReading:
    async def test_a_read_is_one_snapshot_even_if_a_commit_comes_between_its_statements(
        self, path: Path, database: SqliteDatabase
    ):
        between = sqlite3.connect(path, isolation_level=None)

        async def work(tx: Transaction) -> list[int]:
            before = len(await tx.fetch("SELECT name FROM item"))
            between.execute("INSERT INTO item (name) VALUES ('new')")
            return [before, len(await tx.fetch("SELECT name FROM item"))]

        assert await database.read(work) == [0, 0]
        assert await _names(database) == ["new"]
        between.close()

    async def test_a_read_does_not_wait_for_a_commit(self, path: Path):
        committing, may_commit = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def wait() -> None:
            loop.call_soon_threadsafe(committing.set)
            may_commit.wait(10)

        database = await SqliteDatabase.open(path, faults=Faults({"store.commit": 1}, strike=wait))
        await _create(database)
        writing = asyncio.ensure_future(database.run(lambda tx: _put(tx, "a")))
        await committing.wait()
        assert await _names(database) == []
        assert not writing.done()
        may_commit.set()
        await writing
        assert await _names(database) == ["a"]
        await database.close()


class TestTrouble:
    async def test_a_full_disk_fails_the_batch_and_passes(self, database: SqliteDatabase):
        await database.run(lambda tx: tx.fetch("PRAGMA max_page_count = 20"))
        small, large, same = await asyncio.gather(
            database.run(lambda tx: _put(tx, "small")),
            database.run(lambda tx: _put(tx, "large", 200_000)),
            database.run(lambda tx: _put(tx, "also small")),
            return_exceptions=True,
        )
        assert isinstance(large, StoreUnavailable)
        assert "disk is full" in str(large)
        kept = sorted(end for end in (small, same) if isinstance(end, str))
        assert await _names(database) == kept
        await database.run(lambda tx: tx.fetch("PRAGMA max_page_count = 10000"))
        await database.run(lambda tx: _put(tx, "large", 200_000))
        assert "large" in await _names(database)

    async def test_a_file_that_another_process_holds_is_waited_for_then_unavailable(self, path: Path):
        database = await SqliteDatabase.open(path, patience=0.05)
        await _create(database)
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        assert await _names(database) == []
        with pytest.raises(StoreUnavailable, match="locked by another process"):
            await database.run(lambda tx: _put(tx, "a"))
        patient = await SqliteDatabase.open(path, patience=60)
        waiting = asyncio.ensure_future(patient.run(lambda tx: _put(tx, "b")))
        for _ in range(5):
            await asyncio.sleep(0)
        holder.execute("COMMIT")
        assert await waiting == "b"
        holder.close()
        await patient.close()
        await database.close()

    async def test_a_damaged_file_is_corrupt(self, path: Path, database: SqliteDatabase):
        for n in range(200):
            await database.run(lambda tx, n=n: _put(tx, f"{n:03}", 500))
        await database.close()
        content = bytearray(path.read_bytes())
        content[4096:] = b"\xa5" * (len(content) - 4096)
        path.write_bytes(content)
        broken = await SqliteDatabase.open(path)
        with pytest.raises(StoreCorrupt, match=r"database store\.db is damaged"):
            await broken.read(lambda tx: tx.fetch("SELECT * FROM item"))
        with pytest.raises(StoreCorrupt):
            await broken.run(lambda tx: _put(tx, "new"))
        await broken.close()

    async def test_work_that_ends_the_transaction_around_it_is_an_error(self, database: SqliteDatabase):
        with pytest.raises(StoreError):
            await database.run(lambda tx: tx.execute("ROLLBACK"))
        await database.run(lambda tx: _put(tx, "a"))
        assert await _names(database) == ["a"]


@pytest.mark.parametrize("name", [name for name in dir(sqlite3) if name.startswith("SQLITE_IOERR")])
def test_every_error_of_the_disk_is_unavailable(name: str):
    assert type(translate(_error(getattr(sqlite3, name)), "x")) is StoreUnavailable


def test_every_error_has_a_meaning():
    codes = list(range(1, 27))
    assert all(isinstance(translate(_error(code), "x"), StoreError) for code in codes)
    corrupt = {code for code in codes if type(translate(_error(code), "x")) is StoreCorrupt}
    assert corrupt == {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
    for error in (OverflowError("x"), ValueError("x"), sqlite3.ProgrammingError("x"), sqlite3.Warning("x")):
        assert type(translate(error, "x")) is StoreError


def _error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("injected")
    error.sqlite_errorcode = code
    return error


def _fail(code: int) -> None:
    raise _error(code)


class TestLongReads:
    """One that somebody outside makes long holds up nobody, and ends."""

    ENDLESS = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) AS n FROM n"

    async def test_the_loop_goes_on_and_it_is_given_up(self, database: SqliteDatabase):
        ended: list[str] = []

        async def long() -> None:
            with pytest.raises(StoreUnavailable, match="took longer than it may"):
                await database.read(lambda tx: tx.fetch(self.ENDLESS), long=True)
            ended.append("long")

        async def short() -> None:
            await database.read(lambda tx: tx.fetch("SELECT 1"), single=True)
            await database.run(lambda tx: _put(tx, "a"))
            ended.append("short")

        await asyncio.gather(long(), short())
        assert ended == ["short", "long"]
        rows = await database.read(lambda tx: tx.fetch("SELECT name FROM item"), long=True)
        assert [row["name"] for row in rows] == ["a"]

    async def test_it_writes_nothing(self, database: SqliteDatabase):
        with pytest.raises(StoreError, match="a read may not write"):
            await database.read(lambda tx: _put(tx, "a"), long=True)
        assert await _names(database) == []
