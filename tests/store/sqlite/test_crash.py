"""A process that dies while it writes: reopened, the file holds all or nothing of each transaction."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from souk.faults import EXIT_STATUS
from souk.store.database import Row, Transaction
from souk.store.sqlite.database import SqliteDatabase


async def _survivors(path: Path) -> set[str]:
    async def work(tx: Transaction) -> list[Row]:
        checked = await tx.fetch("PRAGMA integrity_check")
        assert checked[0]["integrity_check"] == "ok"
        return await tx.fetch("SELECT name FROM pair")

    database = await SqliteDatabase.open(path)
    names = {row["name"] for row in await database.read(work)}
    await database.run(lambda tx: tx.execute("INSERT INTO pair (name, data) VALUES ('it goes on', $1)", b""))
    await database.close()
    pairs = {name.rpartition("-")[0] for name in names}
    assert names == {f"{pair}-{half}" for pair in pairs for half in ("a", "b")}
    return pairs


def _victim(path: Path, point: str = "-", times: int = 0, size: int = 10, prepare: Callable[[], None] | None = None):
    command = [sys.executable, "-m", "souk.testing.store.victim", str(path), point, str(times), str(size)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=prepare)


@pytest.mark.parametrize(
    ("point", "times"),
    [
        *(("store.statement", times) for times in (0, 1, 7, 38)),
        *(("store.commit", times) for times in (0, 1, 3)),
        *(("store.committed", times) for times in (0, 1, 3)),
    ],
)
async def test_killed_at_a_point(tmp_path: Path, point: str, times: int):
    with _victim(tmp_path / "store.db", point, times) as process:
        acknowledged = set(process.communicate()[0].split())
    assert process.returncode == EXIT_STATUS
    survivors = await _survivors(tmp_path / "store.db")
    assert acknowledged <= survivors
    if point == "store.committed":
        assert len(survivors) > len(acknowledged)


@pytest.mark.parametrize("after", [1, 20, 150])
async def test_killed_anywhere(tmp_path: Path, after: int):
    with _victim(tmp_path / "store.db", size=3_000) as process:
        assert process.stdout is not None
        acknowledged = {process.stdout.readline().strip() for _ in range(after)}
        process.kill()
        acknowledged |= {line for line in process.communicate()[0].split() if len(line) == 6}
    assert acknowledged <= await _survivors(tmp_path / "store.db")


async def test_an_error_of_the_disk_during_a_commit_ends_the_process(tmp_path: Path):
    def no_file_over_300_kb() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    with _victim(tmp_path / "store.db", size=4_000, prepare=no_file_over_300_kb) as process:
        out, err = process.communicate()
    assert process.returncode == EXIT_STATUS
    assert "the disk failed during a commit" in err
    acknowledged = set(out.split())
    assert acknowledged
    assert acknowledged <= await _survivors(tmp_path / "store.db")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if os.geteuid() != 0 or mounted.returncode != 0:
        pytest.skip("a small disk needs the right to mount one")
    yield place
    subprocess.run(["umount", str(place)], check=True)


async def test_a_disk_that_is_really_full(small_disk: Path):
    with _victim(small_disk / "store.db", size=20_000) as process:
        out, err = process.communicate()
    acknowledged = set(out.split())
    assert acknowledged
    assert "the disk is full" in err
    for file in small_disk.glob("store.db*"):
        shutil.move(file, small_disk.parent)  # where there is room again
    assert acknowledged <= await _survivors(small_disk.parent / "store.db")
