"""A log does not grow for ever."""

import asyncio
import errno
import fcntl
import os
import signal
import stat
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def renames_refused(of: Path) -> Iterator[list[Path]]:
    """Lets each rename of a path fail, and lists the renames that were tried."""
    tried: list[Path] = []

    def watch(event: str, path: Path) -> None:
        if event == "os.rename":
            tried.append(path)
            if path == of:
                raise PermissionError(errno.EPERM, "refused")

    with audited(watch):
        yield tried


def test_one_that_cannot_be_turned_over_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "souk.log"
    log = TurningLog(TurningFile(path, 20, 2))
    with renames_refused(path):
        for number in range(6):
            log.write(f"{number:08}\n")
    assert path.read_text() == "".join(f"{number:08}\n" for number in range(6))
    assert os.listdir(tmp_path) == ["souk.log"]
    log.write("00000006\n")  # it can be again
    assert path.read_text() == "00000006\n"
    assert (tmp_path / "souk.log.1").read_text() == "".join(f"{number:08}\n" for number in range(6))
    for number in range(7, 9):
        log.write(f"{number:08}\n")
    assert path.read_text() == "00000008\n"


def test_an_attempt_that_fails_moves_the_old_ones_once_and_is_not_made_for_each_line(tmp_path: Path) -> None:
    path, old = tmp_path / "souk.log", [tmp_path / f"souk.log.{number}" for number in (1, 2, 3)]
    for number, file in enumerate(old, 1):
        file.write_text(f"{number}\n")
    log = TurningLog(TurningFile(path, 1_000, 3))
    with renames_refused(path) as tried:
        for number in range(300):
            log.write(f"{number:08}\n")
    assert path.stat().st_size == 300 * 9
    assert 10 <= tried.count(path) <= 20
    assert [file.read_text() for file in old[1:]] == ["1\n", "2\n"]


def test_one_that_is_written_in_parts_is_written_whole(tmp_path: Path) -> None:
    """A signal cuts a write to a pipe that is full short; so the rest must be written."""
    os.mkfifo(tmp_path / "souk.log")
    reader = os.open(tmp_path / "souk.log", os.O_RDONLY | os.O_NONBLOCK)
    content, came, cut = b"x" * 199_999 + b"\n", bytearray(), threading.Event()
    writer = threading.main_thread().ident or 0
    size = fcntl.fcntl(reader, fcntl.F_GETPIPE_SZ)

    def read() -> None:
        while int.from_bytes(fcntl.ioctl(reader, termios.FIONREAD, b"\0" * 4), sys.byteorder) < size:
            time.sleep(0.001)
        signal.pthread_kill(writer, signal.SIGUSR1)
        cut.wait(10)
        os.set_blocking(reader, True)
        while part := os.read(reader, 65_536):
            came.extend(part)

    before = signal.signal(signal.SIGUSR1, lambda *_: cut.set())
    thread = threading.Thread(target=read)
    file = TurningFile(tmp_path / "souk.log", 20, 1)
    file.open()
    thread.start()
    try:
        file.append(content)
    finally:
        file.close()
        thread.join(10)
        signal.signal(signal.SIGUSR1, before)
        os.close(reader)
    assert bytes(came) == content


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
