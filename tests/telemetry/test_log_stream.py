"""Nobody waits for whoever reads the log."""

import os
from collections.abc import Iterator
from contextlib import suppress
from io import StringIO
from typing import TextIO

import pytest

from souk.telemetry.log_stream import LogStream

LINE = '{"event":"request"}\n'
CAPACITY = 65_536


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    read, write = os.pipe()
    with os.fdopen(write, "w") as stream:
        yield read, stream
    with suppress(OSError):
        os.close(read)


def test_lines_arrive_as_they_are_written(pipe: tuple[int, TextIO]) -> None:
    read, stream = pipe
    LogStream(stream).write(LINE)
    assert os.read(read, CAPACITY) == LINE.encode()


def test_a_reader_that_hangs_holds_nobody_up_and_is_told_what_it_missed(pipe: tuple[int, TextIO]) -> None:
    read, stream = pipe
    log = LogStream(stream)
    for _ in range(10_000):
        log.write(LINE)
    taken = os.read(read, 2 * CAPACITY).decode().count(LINE)
    log.write(LINE)
    *_, told, last = os.read(read, CAPACITY).decode().splitlines()
    assert f'"lines":{10_000 - taken}' in told
    assert last == LINE.strip()


def test_a_line_that_is_torn_does_not_spoil_the_next(pipe: tuple[int, TextIO]) -> None:
    read, stream = pipe
    log = LogStream(stream)
    log.write("x" * 2 * CAPACITY + "\n")
    os.read(read, CAPACITY)
    log.write(LINE)
    torn, told, line = os.read(read, CAPACITY).decode().splitlines()
    assert set(torn) <= {"x"}
    assert '"lines":1' in told
    assert line == LINE.strip()


def test_a_reader_that_is_gone_is_no_error(pipe: tuple[int, TextIO]) -> None:
    read, stream = pipe
    os.close(read)
    LogStream(stream).write(LINE)


def test_what_is_in_memory_is_written_to() -> None:
    stream = StringIO()
    log = LogStream(stream)
    log.write(LINE)
    log.flush()
    assert stream.getvalue() == LINE
