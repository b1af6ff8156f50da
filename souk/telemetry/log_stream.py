"""A stream for logs that never holds up whoever writes to it.

Whoever reads a log through a pipe may hang, or be gone. Then lines are lost, and the next one that gets
through says how many: a process that answers its callers is worth more than its log.
"""

import os
import select
from typing import TextIO

_PAGE = 4096
"""Bytes that a pipe takes without a wait once poll(2) says that it takes any: PIPE_BUF of pipe(7)."""


class LogStream:
    """Takes whole lines, and writes them to `stream` as long as there is room for them."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._descriptor = _descriptor_of(stream)
        self._room = select.poll()
        if self._descriptor is not None:
            self._room.register(self._descriptor, select.POLLOUT)
        self._lost = 0
        self._torn = False

    def write(self, line: str) -> int:
        """Writes a line with its end at once, or loses it."""
        if self._descriptor is None:
            return self._stream.write(line)
        text = f"{_lost(self._lost)}{line}" if self._lost else line
        if self._written(self._descriptor, f"\n{text}" if self._torn else text):
            self._lost, self._torn = 0, False
        else:
            self._lost += 1
        return len(line)

    def flush(self) -> None:
        """Nothing is kept back here."""
        if self._descriptor is None:
            self._stream.flush()

    def _written(self, descriptor: int, text: str) -> bool:
        """Whether all of it was; what was written in part is a torn line."""
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
    """Where it writes to; None if that is in memory."""
    try:
        stream.flush()
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None
