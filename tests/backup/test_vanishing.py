"""A backup bears it that files go while it looks, and says of an error whether it came in reading or in writing."""

import errno
import fcntl
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from souk.backup.making import make_backup
from souk.kernel.errors import ConfigurationError
from souk.runtime.config.environment import from_environment
from souk.runtime.data import manifest
from souk.runtime.data.manifest import FILES, MONOLITH, Manifest
from tests.audited import audited

PASSING = ("order.db-journal", "order.db-wal", ".aside", "letter.eml")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with one database."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    with closing(sqlite3.connect(folder / "order.db")) as database:
        database.execute("CREATE TABLE orders (id TEXT)")
    manifest.write(folder, Manifest(MONOLITH, FILES, {"order": 1}, installation="a"))
    (folder / "secret").touch()
    return folder


async def copied(data: Path) -> set[str]:
    target = data.with_name("made")
    return set((await make_backup(from_environment({"data": data}), (), target, lambda line: None)).files)


async def test_what_is_gone_after_it_was_listed_is_not_copied(data: Path) -> None:
    for number in range(10):  # in whatever order they are listed: some of them come after the database
        (data / f"folder-{number}").mkdir()
        for name in PASSING:
            (data / f"{number}-{name}").touch()
            (data / f"folder-{number}" / name).touch()

    def watch(event: str, path: Path) -> None:
        if event == "open" and path == data / "order.db":
            for gone in data.glob("?-*"):
                gone.unlink()
            for gone in data.glob("folder-*"):
                shutil.rmtree(gone)

    with audited(watch):
        assert await copied(data) == {"data/order.db", "data/secret"}


async def test_what_is_gone_when_it_is_opened_is_not_copied(data: Path) -> None:
    (data / "letter.eml").touch()

    def watch(event: str, path: Path) -> None:
        if event == "open" and path == data / "letter.eml":
            path.unlink(missing_ok=True)

    with audited(watch):
        assert await copied(data) == {"data/order.db", "data/secret"}


async def test_a_database_that_the_manifest_names_does_not_go(data: Path) -> None:
    def watch(event: str, path: Path) -> None:
        if event == "open" and path == data / "order.db":
            path.unlink(missing_ok=True)

    with audited(watch), pytest.raises(ConfigurationError, match=r"order\.db is not a database any more"):
        await copied(data)


@pytest.mark.parametrize("harmed", ["order.db", "secret"])
async def test_what_cannot_be_read_is_named(data: Path, harmed: str) -> None:
    def watch(event: str, path: Path) -> None:
        if event == "open" and path == data / harmed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    with audited(watch), pytest.raises(ConfigurationError, match=f"data/{harmed} cannot be read: permission denied"):
        await copied(data)


async def test_a_backup_that_another_process_makes_is_left_to_it(data: Path) -> None:
    partial = data.with_name("made.partial")
    partial.mkdir()
    (partial / "of-the-other").touch()
    descriptor = os.open(partial, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(ConfigurationError, match="another backup is being made in"):
            await copied(data)
        assert (partial / "of-the-other").exists()
    finally:
        os.close(descriptor)
    assert await copied(data) == {"data/order.db", "data/secret"}, "what one that was killed has left is cleared away"


async def test_what_cannot_be_written_is_said_of_the_backup(data: Path) -> None:
    def watch(event: str, path: Path) -> None:
        if event == "open" and path == data.with_name("made.partial") / "data" / "secret":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with audited(watch), pytest.raises(ConfigurationError, match="made cannot be written: no space left on device"):
        await copied(data)
    assert [path.name for path in data.parent.iterdir()] == ["data"]
