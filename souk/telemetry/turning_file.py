"""A log file that is rotated when it is full: NAME becomes NAME.1, what was NAME.1 becomes NAME.2, and so on.

souk.log      being written, at most `full` octets
souk.log.1    the one before
souk.log.5    the oldest that is kept
"""

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PRIVATE = 0o600
_CLOSED = -1
_MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class LogLimits:
    """A file of `megabytes` is rotated, and `kept` old ones are kept."""

    megabytes: int = 10
    kept: int = 5

    @property
    def full(self) -> int:
        """Octets of a file after which a new one is begun."""
        return self.megabytes * _MEGABYTE


class TurningFile:
    """Appends to the file at `path`, which only its owner can read. What is no file, such as a pipe, is not turned.

    One that cannot be opened is tried again at the next write.
    """

    def __init__(self, path: Path, full: int, kept: int) -> None:
        self._path, self._full, self._kept = path, full, kept
        self._file, self._size = _CLOSED, 0

    def open(self) -> None:
        """Opens it; raises OSError when that cannot be done."""
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _PRIVATE)
        found = os.fstat(self._file)
        self._size = found.st_size if stat.S_ISREG(found.st_mode) else -1

    def append(self, content: bytes) -> None:
        """Adds whole lines; raises OSError when they cannot be written."""
        if self._file == _CLOSED:
            self.open()
        if self._size > 0 and self._size + len(content) > self._full:
            self._turn_over()
        written = os.write(self._file, content)
        if self._size >= 0:
            self._size += written

    def close(self) -> None:
        """Closes the file."""
        if self._file != _CLOSED:
            os.close(self._file)
            self._file = _CLOSED

    def _turn_over(self) -> None:
        for number in range(self._kept, 0, -1):
            with suppress(FileNotFoundError):  # there are not that many yet, or somebody cleared them away
                self._numbered(number - 1).replace(self._numbered(number))
        self.close()
        self.open()
        if not self._kept:
            os.ftruncate(self._file, 0)
            self._size = 0

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path


class TurningLog:
    """A text stream over it, as far as logs need one, without a descriptor: what went there would not be counted."""

    def __init__(self, file: TurningFile) -> None:
        self._file = file

    def write(self, text: str) -> int:
        """Appends lines. A disk that is full loses them: a log must not stop who writes it."""
        with suppress(OSError):
            self._file.append(text.encode("utf-8", "backslashreplace"))
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back here."""

    def isatty(self) -> bool:
        """It is a file."""
        return False

    def fileno(self) -> int:
        """Raises OSError: see above."""
        raise OSError("a log that is rotated has no descriptor")
