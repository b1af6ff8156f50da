"""What is shown of what a process writes."""

import pytest

from souk.supervisor.output.log_filter import News, postgres_news, valkey_news, without

BEFORE = b"2026-11-28 14:55:40.961 UTC [17903] "
VALKEY = b"17856:M 28 Nov 2026 14:55:38.212 "


@pytest.mark.parametrize(
    "text",
    [
        b"LOG:  starting PostgreSQL 18.6 on x86_64-pc-linux-gnu, compiled by gcc",
        b"LOG:  database system is ready to accept connections",
        b"LOG:  received fast shutdown request",
        b"FATAL:  terminating connection due to administrator command",
        b"FATAL:  the database system is shutting down",
        b'ERROR:  invalid input syntax for type integer: "not as many rows as likely"',
    ],
)
def test_the_usual_course_of_postgresql_is_no_news(text: bytes) -> None:
    assert News(postgres_news)([BEFORE + text]) == []


def test_what_goes_wrong_in_postgresql_is_shown_with_what_belongs_to_it() -> None:
    wrong = [
        BEFORE + b'FATAL:  password authentication failed for user "x"',
        BEFORE + b"DETAIL:  Role does not exist.",
        b"\tand more of it",
        BEFORE + b"WARNING:  out of disk",
        BEFORE + b"LOG:  server process (PID 7) was terminated by signal 9: Killed",
        b"postgres: error while loading shared libraries: libssl.so",
    ]
    usual = [BEFORE + b"LOG:  connection received", BEFORE + b"DETAIL:  from here", b"\tand there"]
    assert News(postgres_news)([*usual, *wrong, *usual]) == wrong


@pytest.mark.parametrize(
    "line",
    [
        VALKEY + b"# WARNING Memory overcommit must be enabled! Without it, a background save may fail",
        VALKEY + b"* oO0OoO0OoO0Oo Valkey is starting oO0OoO0OoO0Oo",
        VALKEY + b"# Redis version=6.0.16, bits=64",
        VALKEY + b"- Accepted 127.0.0.1:1",
        VALKEY + b"# Valkey is now ready to exit, bye bye...",
        b"17856:signal-handler (1795877781) Received SIGTERM scheduling shutdown...",
    ],
)
def test_the_usual_course_of_valkey_is_no_news(line: bytes) -> None:
    assert News(valkey_news)([line]) == []


@pytest.mark.parametrize(
    "line",
    [VALKEY + b"# Out Of Memory allocating 77 bytes!", b"*** FATAL CONFIG FILE ERROR ***", b"Bad directive"],
)
def test_what_goes_wrong_in_valkey_is_shown(line: bytes) -> None:
    assert News(valkey_news)([line]) == [line]


def test_what_is_told_elsewhere_is_left_out() -> None:
    assert without(b"h:1")([b"bank: http://h:1", b"a cow on h:2"]) == [b"a cow on h:2"]
