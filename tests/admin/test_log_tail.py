"""The last lines of a log, and those that follow."""

from contextlib import closing
from pathlib import Path

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
