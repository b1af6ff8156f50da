"""A log does not grow for ever."""

import asyncio
import os
import stat
from pathlib import Path

import httpx

from souk.telemetry.turning_file import TurningFile, TurningLog
from souk.testing.processes import PATIENCE, system
from tests.audited import audited

TINY = {"PYTHONPATH": str(Path(__file__).parents[1] / "tiny"), "SOUK_APP": "tiny"}


def written(folder: Path, kept: int, lines: int) -> list[tuple[str, str]]:
    log = TurningLog(TurningFile(folder / "souk.log", 20, kept))
    for number in range(lines):
        log.write(f"{number:08}\n")
    return sorted((path.name, path.read_text()) for path in folder.iterdir())


def test_the_newest_are_kept_in_order(tmp_path: Path) -> None:
    files = written(tmp_path, kept=2, lines=9)
    assert files == [
        ("souk.log", "00000008\n"),
        ("souk.log.1", "00000006\n00000007\n"),
        ("souk.log.2", "00000004\n00000005\n"),
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_none_need_be_kept(tmp_path: Path) -> None:
    assert written(tmp_path, kept=0, lines=3) == [("souk.log", "00000002\n")]


def test_one_that_is_there_is_counted(tmp_path: Path) -> None:
    (tmp_path / "souk.log").write_text("x" * 19 + "\n")
    assert written(tmp_path, kept=1, lines=1) == [("souk.log", "00000000\n"), ("souk.log.1", "x" * 19 + "\n")]


def test_an_old_one_may_be_cleared_away_at_any_time(tmp_path: Path) -> None:
    (tmp_path / "souk.log.1").write_text("old\n")

    def watch(event: str, path: Path) -> None:
        if event == "os.rename" and path.name == "souk.log.1":
            path.unlink(missing_ok=True)

    with audited(watch):
        files = written(tmp_path, kept=2, lines=3)
    assert files == [("souk.log", "00000002\n"), ("souk.log.1", "00000000\n00000001\n")]


def test_a_pipe_is_not_turned_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "souk.log")
    reader = os.open(tmp_path / "souk.log", os.O_RDONLY | os.O_NONBLOCK)
    try:
        log = TurningLog(TurningFile(tmp_path / "souk.log", 20, 1))
        for _ in range(5):
            log.write("0123456\n")
        assert os.read(reader, 100) == b"0123456\n" * 5
    finally:
        os.close(reader)
    assert os.listdir(tmp_path) == ["souk.log"]
    log.write("lost\n")  # nobody reads it any more, and nobody is held up


async def test_the_log_of_a_system_is_turned_over(tmp_path: Path) -> None:
    log = tmp_path / "souk.log"
    log.write_text("x" * 999_999 + "\n")
    settings = {**TINY, "SOUK_LOG_FILE": str(log), "SOUK_LOG_MB": "1", "SOUK_LOG_KEPT": "1"}
    async with (
        system(tmp_path / "data", settings=settings) as up,
        httpx.AsyncClient(base_url=up.address, timeout=PATIENCE) as client,
    ):
        async with asyncio.timeout(PATIENCE):
            while not (tmp_path / "souk.log.1").exists():
                await client.post("/api/v1/auth/token", json={"email": "a@souk.test", "password": "any-password"})
        assert log.stat().st_size < 100_000
        assert (tmp_path / "souk.log.1").stat().st_size == 1_000_000
