"""The log of a process."""

import stat
from pathlib import Path

import pytest

from souk.supervisor.output.process_log import Journal, in_words


def test_a_log_is_private_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "order-1.log"
    for line in (b"one", b"two"):
        journal = Journal(path)
        journal.write([line])
        journal.close()
    assert path.read_bytes() == b"one\ntwo\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_full_log_is_turned_over_and_one_old_one_kept(tmp_path: Path) -> None:
    path = tmp_path / "order-1.log"
    journal = Journal(path, full=20, kept=1)
    for number in range(5):
        journal.write([b"%d 3456789" % number])
    journal.close()
    assert path.read_bytes() == b"4 3456789\n"
    assert (tmp_path / "order-1.log.1").read_bytes() == b"2 3456789\n3 3456789\n"
    assert len(list(tmp_path.iterdir())) == 2


def test_the_last_line_of_a_life_says_why_it_ended(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "order-1.log")
    assert journal.last_line() == ""
    journal.write([b"Traceback (most recent call last):", b"ModuleNotFoundError: No module named 'x'", b""])
    assert journal.last_line() == "ModuleNotFoundError: No module named 'x'"
    journal.forget()
    assert journal.last_line() == ""
    journal.close()


def test_postgres_says_why_before_it_says_how(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "postgres.log")
    journal.write([b"12:00 [1] FATAL:  no memory", b"12:00 [1] HINT:  buy some", b"12:00 [1] LOG:  it is shut down"])
    assert journal.last_line() == "12:00 [1] FATAL:  no memory"
    journal.close()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"souk: port 80 is taken", "souk: port 80 is taken"),
        (b'{"event":"cannot start","reason":"no disk","level":"error"}', "cannot start: no disk"),
        (b'{"event":"failed","exception":"Traceback\\n  x\\nValueError: 7"}', "failed: ValueError: 7"),
        (b"[1, 2]", "[1, 2]"),
        (b"\xff", "\ufffd"),
        (b"x" * 1_000, "x" * 240 + "..."),
    ],
)
def test_a_line_in_words(line: bytes, words: str) -> None:
    assert in_words(line) == words
