"""The last lines of a log, and those that follow."""

import os
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from souk.admin.logs.blocks import PIECE
from souk.admin.logs.tail import LogLines
from souk.supervisor.output.process_log import Journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "order-1.log"


def last_of(path: Path, count: int) -> list[str]:
    with closing(LogLines(path)) as log:
        log.skip()
        lines = [line for block in log.before() for line in reversed(block.removesuffix(b"\n").split(b"\n"))]
        return [line.decode(errors="replace") for line in reversed(lines[:count])]


def further(log: LogLines) -> list[str]:
    return [line.decode() for line in log.further()]


@pytest.mark.parametrize(
    ("text", "count", "last"),
    [
        ("", 5, []),
        ("one\n", 5, ["one"]),
        ("one\ntwo\nthree\n", 2, ["two", "three"]),
        ("one\ntwo\nthree\n", 0, []),
        ("one\n\n\ntwo\n", 3, ["", "", "two"]),
        ("one\nunfini", 5, ["one"]),
        ("unfini", 5, []),
        ("one\r\n", 1, ["one\r"]),
    ],
)
def test_the_last_whole_lines(path: Path, text: str, count: int, last: list[str]) -> None:
    path.write_text(text)
    assert last_of(path, count) == last


@pytest.mark.parametrize("length", [10, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
def test_long_lines(path: Path, length: int) -> None:
    lines = [letter * length for letter in "abcd"]
    path.write_text("".join(f"{line}\n" for line in lines))
    assert last_of(path, 2) == lines[2:]
    assert last_of(path, 9) == lines


def test_what_follows(path: Path) -> None:
    path.write_text("one\ntw")
    log = LogLines(path)
    log.skip()
    assert further(log) == []
    with path.open("a") as more:
        more.write("o\nthree\nfo")
    assert further(log) == ["two", "three"]
    assert further(log) == []
    log.close()


def test_a_log_that_is_not_there_yet(path: Path) -> None:
    log = LogLines(path)
    log.skip()
    assert (list(log.before()), further(log)) == ([], [])
    path.write_text("one\n")
    assert further(log) == ["one"]
    log.close()


def test_a_log_that_is_turned_over(path: Path) -> None:
    journal = Journal(path, full=20, kept=1)
    journal.write([b"one", b"two"])
    log = LogLines(path)
    log.skip()
    journal.write([b"three"])
    journal.write([b"after the turn"])
    assert further(log) == ["three", "after the turn"]
    journal.close()
    log.close()


class WrittenMeanwhile(type(Path())):  # type: ignore[misc]  # pathlib decides the class at run time
    """A path whose file grows and is rotated at the moment at which it is opened."""

    journal: Journal | None = None

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        journal, self.journal = self.journal, None
        if journal is not None:
            journal.write([b"late"])
            journal.write([b"after the turn"])
        return super().stat(follow_symlinks=follow_symlinks)


def test_a_log_that_is_turned_over_while_it_is_read(path: Path) -> None:
    journal = Journal(path, full=15, kept=1)
    journal.write([b"one"])
    watched = WrittenMeanwhile(path)
    log = LogLines(watched)
    log.skip()
    watched.journal = journal
    assert [*further(log), *further(log)] == ["late", "after the turn"]
    journal.close()
    log.close()


class SearchedMeanwhile(type(Path())):  # type: ignore[misc]  # pathlib decides the class at run time
    """A path that shows a reader the two free numbers of two rotations, when it looks for them at those moments."""

    journal: ClassVar[list[Journal]] = []

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        if SearchedMeanwhile.journal and self.name.endswith((".1", ".2")):
            if self.name.endswith(".2"):
                SearchedMeanwhile.journal.pop().write([b"after two"])
            raise FileNotFoundError
        return super().stat(follow_symlinks=follow_symlinks)


def test_a_log_that_is_searched_during_two_rotations(path: Path) -> None:
    journal = Journal(path, full=8, kept=5)
    journal.write([b"one"])
    log = LogLines(SearchedMeanwhile(path))
    log.skip()
    for line in (b"first", b"second"):
        journal.write([line])
    SearchedMeanwhile.journal.append(journal)
    assert [*further(log), *further(log)] == ["first", "second", "after two"]
    journal.close()
    log.close()


@pytest.mark.parametrize("turns", [2, 3, 5])
def test_a_log_that_is_turned_over_more_than_once(path: Path, turns: int) -> None:
    journal = Journal(path, full=8, kept=5)
    journal.write([b"old"])
    log = LogLines(path)
    log.skip()
    lines = [f"turn {number}" for number in range(turns)]
    for line in lines:
        journal.write([line.encode()])
    assert further(log) == lines
    assert further(log) == []
    journal.write([b"then"])
    assert further(log) == ["then"]
    journal.close()
    log.close()


def test_a_log_of_which_the_next_file_is_not_there_yet(path: Path) -> None:
    path.write_text("one\n")
    log = LogLines(path)
    log.skip()
    with path.open("a") as more:
        more.write("two\n")
    path.rename(path.with_name("order-1.log.1"))
    assert further(log) == ["two"]
    path.write_text("three\n")
    assert further(log) == ["three"]
    log.close()


def test_a_log_that_is_replaced_by_one_that_was_kept_no_longer(path: Path) -> None:
    path.write_text("one\n")
    log = LogLines(path)
    log.skip()
    path.unlink()
    path.write_text("two\n")
    assert further(log) == ["two"]
    log.close()


def test_an_unfinished_line_at_the_end_of_a_file_is_given_when_it_is_turned_over(path: Path) -> None:
    path.write_text("one\nunfini")
    log = LogLines(path)
    log.skip()
    path.rename(path.with_name("order-1.log.1"))
    path.write_text("three\n")
    assert further(log) == ["unfini", "three"]
    log.close()


def test_no_line_is_lost_while_a_log_is_turned_over_all_the_time(path: Path) -> None:
    lines = [f"line {number}" for number in range(3_000)]
    journal = Journal(path, full=200, kept=300)
    journal.write([b"begin"])
    log = LogLines(path)
    log.skip()

    def write() -> None:
        for line in lines:
            journal.write([line.encode()])

    writer = Thread(target=write)
    writer.start()
    read: list[str] = []
    while writer.is_alive():
        read += further(log)
    read += further(log)
    assert read == lines
    journal.close()
    log.close()


def test_the_lines_before_a_turn_are_among_the_last(path: Path) -> None:
    path.with_name("order-1.log.1").write_text("one\ntwo\n")
    path.write_text("three\n")
    assert last_of(path, 2) == ["two", "three"]
    assert last_of(path, 9) == ["one", "two", "three"]


def test_a_log_that_is_emptied_in_place(path: Path) -> None:
    path.write_text("one\ntwo\n")
    log = LogLines(path)
    log.skip()
    path.write_text("new\n")
    assert further(log) == ["new"]
    log.close()


def test_bytes_that_are_no_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\n")
    assert last_of(path, 1) == ["\ufffd\ufffd"]
