"""A log file that is rotated when it is full: NAME becomes NAME.1, what was NAME.1 becomes NAME.2, and so on.

souk.log      the file that is being written, at most `full` octets
souk.log.1    the file before it
souk.log.5    the oldest file that is kept
"""

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PRIVATE = 0o600
_CLOSED = -1
_MEGABYTE = 1_000_000
_AGAIN = 10
"""A rotation that failed is tried again after each tenth of a full file, not at each line."""


@dataclass(frozen=True, slots=True)
class LogLimits:
    """When a log file is rotated (after `megabytes`), and how many old files are kept (`kept`)."""

    megabytes: int = 10
    kept: int = 5

    @property
    def full(self) -> int:
        """The number of octets after which a new file is begun."""
        return self.megabytes * _MEGABYTE


class TurningFile:
    """Appends to the file at `path`, which only its owner can read, and rotates it.

    What is not a regular file, such as a pipe, is not rotated. A file that cannot be opened is tried again at the
    next write. A file that cannot be rotated grows on, and the rotation is tried again later.
    """

    def __init__(self, path: Path, full: int, kept: int) -> None:
        self._path, self._full, self._kept = path, full, kept
        self._file, self._size, self._limit = _CLOSED, 0, full

    def open(self) -> None:
        """Opens the file. Raises OSError when that fails."""
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _PRIVATE)
        found = os.fstat(self._file)
        self._size = found.st_size if stat.S_ISREG(found.st_mode) else -1
        self._limit = self._full

    def append(self, content: bytes) -> None:
        """Appends whole lines, after a rotation if they would not fit. Raises OSError when they cannot be written."""
        if self._file == _CLOSED:
            self.open()
        if self._size > 0 and self._size + len(content) > self._limit:
            self._try_to_turn_over()
        while content:
            written = os.write(self._file, content)
            content = content[written:]
            if self._size >= 0:
                self._size += written

    def close(self) -> None:
        """Closes the file."""
        if self._file != _CLOSED:
            os.close(self._file)
            self._file = _CLOSED

    def _try_to_turn_over(self) -> None:
        try:
            self._turn_over()
        except OSError:
            if self._file == _CLOSED:
                raise
            self._limit = self._size + self._full // _AGAIN

    def _turn_over(self) -> None:
        # Only as far as the first number that is free: else each attempt that fails would push out an old file.
        numbers = range(1, self._kept + 1)
        free = next((number for number in numbers if not self._numbered(number).exists()), self._kept)
        for number in range(free, 0, -1):
            with suppress(FileNotFoundError):  # somebody may delete them at any time
                self._numbered(number - 1).replace(self._numbered(number))
        self.close()
        self.open()
        if not self._kept:
            os.ftruncate(self._file, 0)
            self._size = 0

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path


class TurningLog:
    """A text stream over a `TurningFile`, as far as logs need one.

    It has no descriptor, because octets written to that would not count for the rotation.
    """

    def __init__(self, file: TurningFile) -> None:
        self._file = file

    def write(self, text: str) -> int:
        """Appends lines; they are lost when they cannot be written, because a log must not stop the process."""
        with suppress(OSError):
            self._file.append(text.encode("utf-8", "backslashreplace"))
        return len(text)

    def flush(self) -> None:
        """Does nothing, since `write` buffers nothing."""

    def isatty(self) -> bool:
        """Returns False: the stream is a file."""
        return False

    def fileno(self) -> int:
        """Raises OSError, since the stream has no descriptor."""
        raise OSError("a log that is rotated has no descriptor")
