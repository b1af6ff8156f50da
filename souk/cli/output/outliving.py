"""Output that outlives its readers: a serving process goes on when its output cannot be written any more.

`souk up | head -3` closes the pipe after three lines; a terminal is closed; a disk fills up. Output is then
dropped. Commands that do not serve end instead, as is usual: see `souk.cli.group`.
"""

import errno
import os
import sys
from typing import Any, TextIO, cast

_GONE = frozenset({errno.EPIPE, errno.EIO})
"""Errors of an output that has lost its reader for good: a pipe without a reader, a terminal that was closed."""


class OutlivingStream:
    """Behaves as `stream`, but drops text that cannot be written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes text, or drops it if that fails; returns as if all had been written."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        """Flushes the stream, or drops its text if that fails."""
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        if error.errno in _GONE:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


def outliving(stream: TextIO) -> TextIO:
    """Gives `stream` in a form to which no write fails."""
    return stream if isinstance(stream, OutlivingStream) else cast(TextIO, OutlivingStream(stream))


def outlive_readers() -> None:
    """Makes standard output and standard error of this process outlive their readers."""
    sys.stdout, sys.stderr = outliving(sys.stdout), outliving(sys.stderr)
