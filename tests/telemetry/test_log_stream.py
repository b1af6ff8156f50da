"""Nobody waits for whoever reads the log."""

import asyncio
import os
import select
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


async def test_lines_of_a_turn_are_written_together_and_before_what_follows(pipe: tuple[int, TextIO]) -> None:
    read, stream = pipe
    log = LogStream(stream)
    log.write_soon(b"1\n")
    log.write_soon(b"2\n")
    assert not select.select([read], [], [], 0)[0]
    log.write("3\n")
    log.write_soon(b"4\n")
    assert os.read(read, CAPACITY) == b"1\n2\n3\n"
    await asyncio.sleep(0)
    assert os.read(read, CAPACITY) == b"4\n"


async def test_lines_of_a_turn_are_counted_when_nobody_reads_them(pipe: tuple[int, TextIO]) -> None:
    read, stream = pipe
    log = LogStream(stream)
    for _ in range(10_000):
        log.write_soon(LINE.encode())
    await asyncio.sleep(0)
    taken = os.read(read, 2 * CAPACITY).decode().count(LINE)
    log.write_soon(LINE.encode())
    await asyncio.sleep(0)
    *_, told, last = os.read(read, CAPACITY).decode().splitlines()
    assert f'"lines":{10_000 - taken}' in told
    assert last == LINE.strip()


def test_a_line_without_a_loop_is_written_at_once(pipe: tuple[int, TextIO]) -> None:
    read, stream = pipe
    LogStream(stream).write_soon(LINE.encode())
    assert os.read(read, CAPACITY) == LINE.encode()
