"""A search for a time in a large log reads that part of it, and finds what a search through all of it finds."""

import os
import random
from itertools import accumulate
from pathlib import Path

import pytest

from souk.admin.logs.records import stamp_of
from souk.admin.logs.search import search_logs
from souk.admin.logs.seek import NEAR, SLACK, end_of_time
from souk.admin.logs.wanted import LogFilter
from souk.kernel.clock import MICROSECONDS
from tests.admin.logs.test_search import at

LINES = 30_000
PAD = "x" * 100


def timed(number: int, text: str = PAD) -> str:
    minute, second = divmod(number, 60)
    hour, minute = divmod(minute, 60)
    time = f"2026-03-01T{12 + hour:02}:{minute:02}:{second:02}Z"
    return f'{{"event":"{number} {text}","level":"info","timestamp":"{time}"}}\n'


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of some hours, a line a second, and its two rotated files."""
    path, every = tmp_path / "order-1.log", [timed(number) for number in range(LINES)]
    for name, first, last in (("order-1.log.2", 0, 1), ("order-1.log.1", 1, 2), ("order-1.log", 2, 3)):
        path.with_name(name).write_text("".join(every[first * LINES // 3 : last * LINES // 3]))
    return path


def numbers(path: Path, since: int, until: int) -> list[int]:
    wanted = LogFilter(since=at(0) + since * MICROSECONDS, until=at(0) + until * MICROSECONDS)
    found = search_logs([("order-1", path)], wanted, 10_000)
    return [int(one.line.split('"')[3].split()[0]) for one in found.records]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each read from a file was asked for."""
    read, pread = [], os.pread

    def counted(descriptor: int, length: int, offset: int) -> bytes:
        read.append(length)
        return pread(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", counted)
    return read


def test_a_search_that_has_enough_lines_reads_no_log_further_back(log: Path, read: list[int]) -> None:
    for name in ("gateway", "payment"):  # each lacks what is looked for
        log.with_name(f"{name}-1.log").write_text("".join(map(timed, range(LINES))))
    with log.open("a") as file:
        file.write(timed(LINES, "refund") + timed(LINES + 1, "refund"))
    logs = [(path.stem, path) for path in log.parent.glob("*.log")]
    found = search_logs(logs, LogFilter(text="refund"), 1)
    assert ([one.at for one in found.records], found.more) == ([at(0) + (LINES + 1) * MICROSECONDS], True)
    assert sum(read) < 1_000_000 < sum(path.stat().st_size for path in log.parent.iterdir()) / 10


@pytest.mark.parametrize("since", [5, 9_995, 12_345, 19_999, 29_990])
def test_a_search_for_a_time_reads_little(log: Path, since: int, read: list[int]) -> None:
    assert numbers(log, since, since + 9) == list(range(since, min(since + 10, LINES)))
    size = sum(path.stat().st_size for path in log.parent.iterdir())
    assert size > 4_000_000
    assert sum(read) < size / 5


def test_a_line_that_stands_a_little_behind_its_time_is_found(tmp_path: Path) -> None:
    path, late = tmp_path / "order-1.log", [*range(LINES)]
    shaken = random.Random(1)
    late.sort(key=lambda number: number + shaken.random() * (SLACK // MICROSECONDS - 1))
    lines = [timed(number) for number in late]
    path.write_text("".join(lines))
    ends = [0, *accumulate(map(len, lines))]
    earliest = dict(zip(ends, [*accumulate(reversed(late), min)][::-1], strict=False))
    with path.open("rb") as file:
        for until in range(0, LINES, 7):
            end = end_of_time(file.fileno(), ends[-1], at(0) + until * MICROSECONDS)
            assert earliest.get(end, LINES) > until
    assert sorted(numbers(path, 15_000, 15_100)) == [*range(15_000, 15_101)]


def test_lines_without_a_time_stay_with_the_line_before_them(tmp_path: Path) -> None:
    path, traceback = tmp_path / "order-1.log", "  a line of a traceback\n" * 40
    path.write_text("".join(timed(number) + traceback for number in range(3_000)))
    wanted = LogFilter(since=at(0) + 1_500 * MICROSECONDS, until=at(0) + 1_501 * MICROSECONDS)
    found = search_logs([("order-1", path)], wanted, 10_000)
    assert len(found.records) == 82


def test_a_log_without_times_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "plain.log"
    path.write_text("no time\n" * 400_000 + timed(7) + timed(8))
    with path.open("rb") as file:
        end = path.stat().st_size
        assert end_of_time(file.fileno(), end, at(0)) in (end, end - len(timed(8)), end - len(timed(7) + timed(8)))
    assert numbers(path, 7, 7) == [7]


@pytest.mark.parametrize("size", [0, 10, NEAR - 1, NEAR + 1, 10 * NEAR])
def test_what_is_behind_the_end_is_later(tmp_path: Path, size: int) -> None:
    path = tmp_path / "order-1.log"
    text = "".join(timed(number) for number in range(size // 150 + 1))[: max(size, 1)].rpartition("\n")[0] + "\n"
    path.write_text(text)
    for until in range(0, size // 150 + 1, 97):
        with path.open("rb") as file:
            end = end_of_time(file.fileno(), len(text), at(0) + until * MICROSECONDS)
        assert text[end - 1 : end] == "\n"
        stamps = [stamp_of(line.encode()) for line in text[end:].splitlines()]
        assert all(one is not None and one.at > at(0) + until * MICROSECONDS for one in stamps)
