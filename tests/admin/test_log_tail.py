"""The last lines of a log, and those that follow."""

import os
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from souk.admin.log_tail import PIECE, LogLines, Logs
from souk.supervisor.output.process_log import Journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "order-1.log"


def last_of(path: Path, count: int) -> list[str]:
    with closing(LogLines(path)) as log:
        return log.last(count)


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
        ("one\r\n", 1, ["one"]),
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
    assert log.last(5) == ["one"]
    assert log.further() == []
    with path.open("a") as more:
        more.write("o\nthree\nfo")
    assert log.further() == ["two", "three"]
    assert log.further() == []
    log.close()


def test_a_log_that_is_not_there_yet(path: Path) -> None:
    log = LogLines(path)
    assert (log.last(5), log.further()) == ([], [])
    path.write_text("one\n")
    assert log.further() == ["one"]
    log.close()


def test_a_log_that_is_turned_over(path: Path) -> None:
    journal = Journal(path, full=20, kept=1)
    journal.write([b"one", b"two"])
    log = LogLines(path)
    assert log.last(1) == ["two"]
    journal.write([b"three"])
    journal.write([b"after the turn"])
    assert log.further() == ["three", "after the turn"]
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
    assert log.last(1) == ["one"]
    watched.journal = journal
    assert [*log.further(), *log.further()] == ["late", "after the turn"]
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
    assert log.last(1) == ["one"]
    for line in (b"first", b"second"):
        journal.write([line])
    SearchedMeanwhile.journal.append(journal)
    assert [*log.further(), *log.further()] == ["first", "second", "after two"]
    journal.close()
    log.close()


@pytest.mark.parametrize("turns", [2, 3, 5])
def test_a_log_that_is_turned_over_more_than_once(path: Path, turns: int) -> None:
    journal = Journal(path, full=8, kept=5)
    journal.write([b"old"])
    log = LogLines(path)
    assert log.last(1) == ["old"]
    lines = [f"turn {number}" for number in range(turns)]
    for line in lines:
        journal.write([line.encode()])
    assert log.further() == lines
    assert log.further() == []
    journal.write([b"then"])
    assert log.further() == ["then"]
    journal.close()
    log.close()


def test_a_log_of_which_the_next_file_is_not_there_yet(path: Path) -> None:
    path.write_text("one\n")
    log = LogLines(path)
    log.last(1)
    with path.open("a") as more:
        more.write("two\n")
    path.rename(path.with_name("order-1.log.1"))
    assert log.further() == ["two"]
    path.write_text("three\n")
    assert log.further() == ["three"]
    log.close()


def test_a_log_that_is_replaced_by_one_that_was_kept_no_longer(path: Path) -> None:
    path.write_text("one\n")
    log = LogLines(path)
    log.last(1)
    path.unlink()
    path.write_text("two\n")
    assert log.further() == ["two"]
    log.close()


def test_an_unfinished_line_at_the_end_of_a_file_is_given_when_it_is_turned_over(path: Path) -> None:
    path.write_text("one\nunfini")
    log = LogLines(path)
    assert log.last(1) == ["one"]
    path.rename(path.with_name("order-1.log.1"))
    path.write_text("three\n")
    assert log.further() == ["unfini", "three"]
    log.close()


def test_no_line_is_lost_while_a_log_is_turned_over_all_the_time(path: Path) -> None:
    lines = [f"line {number}" for number in range(3_000)]
    journal = Journal(path, full=200, kept=300)
    journal.write([b"begin"])
    log = LogLines(path)
    log.last(1)

    def write() -> None:
        for line in lines:
            journal.write([line.encode()])

    writer = Thread(target=write)
    writer.start()
    read: list[str] = []
    while writer.is_alive():
        read += log.further()
    read += log.further()
    assert read == lines
    journal.close()
    log.close()


def test_the_last_lines_of_a_process_that_has_left(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("one\n")
    logs = Logs()
    logs.last([("a", path)], 10)
    with path.open("a") as more:
        more.write("goodbye\n")
    assert logs.further([]) == [("a", "goodbye")]
    logs.close()


def test_the_lines_before_a_turn_are_among_the_last(path: Path) -> None:
    path.with_name("order-1.log.1").write_text("one\ntwo\n")
    path.write_text("three\n")
    assert last_of(path, 2) == ["two", "three"]
    assert last_of(path, 9) == ["one", "two", "three"]


def test_a_log_that_is_emptied_in_place(path: Path) -> None:
    path.write_text("one\ntwo\n")
    log = LogLines(path)
    log.last(1)
    path.write_text("new\n")
    assert log.further() == ["new"]
    log.close()


def test_bytes_that_are_no_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\n")
    assert last_of(path, 1) == ["\ufffd\ufffd"]


def test_several_logs_are_one_in_order_of_time(tmp_path: Path) -> None:
    paths = [(name, tmp_path / name) for name in ("a", "b")]
    paths[0][1].write_text('{"timestamp":"1"}\n{"timestamp":"3"}\n')
    paths[1][1].write_text('{"timestamp":"2"}\nand more of it\n')
    logs = Logs()
    assert [name for name, _ in logs.last(paths, 10)] == ["a", "b", "b", "a"]
    with paths[1][1].open("a") as more:
        more.write("further\n")
    assert logs.further(paths) == [("b", "further")]
    (tmp_path / "c").write_text("new\n")
    assert logs.further([*paths, ("c", tmp_path / "c")]) == [("c", "new")]
    logs.close()
