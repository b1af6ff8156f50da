"""A log stream that never blocks the code that writes to it.

The reader of a log's pipe may hang, or have ended. Then lines are lost, and before the next line that can be
written a record says how many were: a process that answers its callers is worth more than its log.
"""

import os
import select
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
        self._lost = 0
        self._torn = False

    def write(self, line: str) -> int:
        """Writes a line, which includes its line end, without waiting; a line that cannot be written is lost."""
        if self._descriptor is None:
            return self._stream.write(line)
        text = f"{_lost(self._lost)}{line}" if self._lost else line
        if self._written(self._descriptor, f"\n{text}" if self._torn else text):
            self._lost, self._torn = 0, False
        else:
            self._lost += 1
        return len(line)

    def flush(self) -> None:
        """Does nothing for a stream with a descriptor, since `write` buffers nothing there."""
        if self._descriptor is None:
            self._stream.flush()

    def _written(self, descriptor: int, text: str) -> bool:
        """Writes the text without waiting; returns whether all of it was written. A part that was is a torn line."""
        rest = memoryview(text.encode("utf-8", "backslashreplace"))
        try:
            while rest:
                if not self._room.poll(0):
                    return False
                rest = rest[os.write(descriptor, rest[:_PAGE]) :]
                self._torn = bool(rest)
        except OSError:  # nobody reads it any more, or the disk is full
            return False
        return True


def _lost(lines: int) -> str:
    return f'{{"event":"lines of this log were lost","lines":{lines},"level":"warning"}}\n'


def _descriptor_of(stream: TextIO) -> int | None:
    """Returns the file descriptor of a stream; None for a stream in memory."""
    try:
        stream.flush()
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None
