"""A log stream that never blocks the code that writes to it.

The reader of a log's pipe may hang, or have ended. Then lines are lost, and before the next line that can be
written a record says how many were: a process that answers its callers is worth more than its log.
"""

import asyncio
import os
import select
from collections import deque
from typing import TextIO

_PAGE = 4096
"""The number of bytes that a pipe takes without blocking once poll(2) says that it is writable: PIPE_BUF of pipe(7)."""


class LogStream:
    """Takes whole lines, and writes each to `stream` if that is possible without blocking."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._descriptor = _descriptor_of(stream)
        self._room = select.poll()
        if self._descriptor is not None:
            self._room.register(self._descriptor, select.POLLOUT)
        self._waiting: deque[bytes] = deque()
        self._lost = 0
        self.lost = 0
        """Lines that were lost since this stream began."""
        self._torn = False

    def write(self, line: str) -> int:
        """Writes a line, which includes its line end, without waiting; a line that cannot be written is lost."""
        if self._descriptor is None:
            return self._stream.write(line)
        self._write_waiting()
        self._put(self._descriptor, line.encode("utf-8", "backslashreplace"), 1)
        return len(line)

    def write_soon(self, line: bytes) -> None:
        """Writes a line as `write` does, when the event loop's turn ends: those of one turn with one system call.

        What is written meanwhile comes after it. Without a running loop it is written at once.
        """
        if self._descriptor is None:
            self._stream.write(line.decode())
            return
        waiting = self._waiting
        waiting.append(line)
        if len(waiting) == 1:
            try:
                asyncio.get_running_loop().call_soon(self._write_waiting)
            except RuntimeError:
                self._write_waiting()

    def _write_waiting(self) -> None:
        """Writes the lines that wait, as many at once as a pipe takes whole."""
        page: list[bytes] = []
        size = 0
        while self._waiting and self._descriptor is not None:
            line = self._waiting.popleft()
            if page and size + len(line) > _PAGE:
                self._put(self._descriptor, b"".join(page), len(page))
                page, size = [], 0
            page.append(line)
            size += len(line)
        if page and self._descriptor is not None:
            self._put(self._descriptor, b"".join(page), len(page))

    def flush(self) -> None:
        """Does nothing for a stream with a descriptor, since `write` buffers nothing there."""
        if self._descriptor is None:
            self._stream.flush()

    def _put(self, descriptor: int, octets: bytes, lines: int) -> None:
        """Writes lines, with what is to be said before them; counts them if they are lost."""
        if self._lost:
            octets = _lost(self._lost) + octets
        if self._torn:
            octets = b"\n" + octets
        if self._written(descriptor, octets):
            self._lost, self._torn = 0, False
        else:
            self._lost += lines
            self.lost += lines

    def _written(self, descriptor: int, octets: bytes) -> bool:
        """Writes without waiting; returns whether all of it was written. A part that was is a torn line."""
        rest = memoryview(octets)
        try:
            while rest:
                if not self._room.poll(0):
                    return False
                rest = rest[os.write(descriptor, rest[:_PAGE]) :]
                self._torn = bool(rest)
        except OSError:  # nobody reads it any more, or the disk is full
            return False
        return True


def _lost(lines: int) -> bytes:
    return b'{"event":"lines of this log were lost","lines":%d,"level":"warning"}\n' % lines


def _descriptor_of(stream: TextIO) -> int | None:
    """Returns the file descriptor of a stream; None for a stream in memory."""
    try:
        stream.flush()
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None
