"""Output that outlives its readers: a process that serves goes on when nobody reads what it says.

`souk up | head -3` closes the pipe after three lines; a terminal goes away; a disk fills up. What is said then
is dropped. Commands that do one thing end instead, as is usual: see `souk.cli.group`.
"""

import errno
import os
import sys
from typing import Any, TextIO, cast

_GONE = frozenset({errno.EPIPE, errno.EIO})
"""Nobody reads any more, and nobody will: a pipe without a reader, a terminal that was closed."""


class OutlivingStream:
    """Everything that `stream` is, but what cannot be written is dropped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes what can be written; returns as if it were all."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        """As far as it goes."""
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
    """`stream`, so that nothing that is written to it fails."""
    return stream if isinstance(stream, OutlivingStream) else cast(TextIO, OutlivingStream(stream))


def outlive_readers() -> None:
    """Standard output and standard error of this process, from now on."""
    sys.stdout, sys.stderr = outliving(sys.stdout), outliving(sys.stderr)
