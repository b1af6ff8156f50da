"""Commands about parked events on data directories of another version."""

import shutil
from pathlib import Path

import pytest

from souk.kernel.clock import SystemClock
from souk.store.migrations import PLATFORM, migrate, platform_migrations
from souk.store.sqlite.database import SqliteDatabase
from souk.testing.processes import run

_EVENT = """
    INSERT INTO souk_outbox (id, type, source, key, partition, time, payload, traceparent)
    VALUES ('EVT-7', 'google.protobuf.Int64Value', 'source', 'k', 29, 1, X'0807', '')
"""
_PARKED = """
    INSERT INTO souk_outbox_delivery (seq, consumer, partition, state, changed_at)
    SELECT seq, 'mail/all', partition, 'parked', 0 FROM souk_outbox
"""


async def kept_by(version: Path, data: Path) -> None:
    """Leaves shop.db with a parked event, as a program with these migrations would."""
    database = await SqliteDatabase.open(data / "shop.db", clock=SystemClock())
    await migrate(database, version, PLATFORM)
    for sql in (_EVENT, _PARKED):  # by hand: what publishes now knows columns of later versions
        await database.run(lambda tx, sql=sql: tx.execute(sql))
    await database.close()


@pytest.mark.parametrize("command", [("events", "parked"), ("parked",), ("events", "show", "EVT-7")])
async def test_a_directory_of_an_older_version_is_brought_up(tmp_path: Path, command: tuple[str, ...]) -> None:
    version, data = tmp_path / "migrations", tmp_path / "data"
    version.mkdir()
    data.mkdir()
    for file in Path(str(platform_migrations())).glob("000[1-8]_*.sql"):
        shutil.copy(file, version)
    await kept_by(version, data)
    ended = await run(*command, "--data", str(data))
    assert (ended.status, ended.err) == (0, "")
    assert "EVT-7" in ended.out


@pytest.mark.parametrize("command", [("events", "parked"), ("parked",)])
async def test_a_directory_of_a_newer_version_is_refused_in_one_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    version, data = tmp_path / "migrations", tmp_path / "data"
    shutil.copytree(Path(str(platform_migrations())), version)
    data.mkdir()
    known = len(
        list(version.glob("*.postgres.sql")) + [one for one in version.glob("*.sql") if one.name.count(".") == 1]
    )
    (version / f"{known + 1:04}_later.sql").write_text("CREATE TABLE later (a BIGINT)")
    await kept_by(version, data)
    ended = await run(*command, "--data", str(data))
    assert ended.status == 1
    assert ended.err.startswith(f"souk: {data / 'shop.db'}: the database is newer than this program")
    assert len(ended.err.splitlines()) == 1
