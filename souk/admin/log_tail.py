"""The last lines of logs, and those that come after them, across a log's rotation.

All of it blocks, for as long as a read from a file takes.
"""

import heapq
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

PIECE = 64 * 1024
TURNED_OVER = ".1"
_TIME = re.compile(r'"timestamp": ?"([^"]+)"')

Line = tuple[str, str]
"""Who wrote it, and what."""


class LogLines:
    """Reads one log. It need not be there yet, and may be replaced by a new one at any time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""

    def last(self, count: int) -> list[str]:
        """The last whole lines, at most `count`; `further` goes on behind them."""
        found = self._last(count)
        missing = count - len(found)
        return [*self._before(missing), *found] if missing > 0 else found

    def _before(self, count: int) -> list[str]:
        """The last lines of the log before this one, which was rotated when it was full."""
        before = LogLines(self._path.with_name(self._path.name + TURNED_OVER))
        lines = before._last(count)
        before.close()
        return lines

    def _last(self, count: int) -> list[str]:
        self._open()
        if self._file is None:
            return []
        size = start = self._file.seek(0, os.SEEK_END)
        kept = b""
        while start > 0 and kept.count(b"\n") <= count:
            length = min(PIECE, start)
            start = self._file.seek(start - length)
            kept = self._file.read(length) + kept
        self._file.seek(size)
        lines = self._whole(kept)
        return lines[-count:] if count else []

    def further(self) -> list[str]:
        """Whole lines that were written since."""
        if self._file is None:
            self._open()
        lines = self._read()
        if self._file is not None and self._replaced(self._file):
            self.close()
            self._open()
            lines += self._read()
        return lines

    def close(self) -> None:
        """Closes the file; what follows is read from the beginning."""
        if self._file is not None:
            self._file.close()
        self._file, self._rest = None, b""

    def _open(self) -> None:
        try:
            self._file = self._path.open("rb")
        except FileNotFoundError:
            self._file = None

    def _read(self) -> list[str]:
        return [] if self._file is None else self._whole(self._rest + self._file.read())

    def _whole(self, text: bytes) -> list[str]:
        """The whole lines in `text`; keeps what comes behind them."""
        lines = text.split(b"\n")
        self._rest = lines.pop()
        return [line.decode(errors="replace").rstrip("\r") for line in lines]

    def _replaced(self, file: BinaryIO) -> bool:
        """Whether the path names another file, or the same one emptied."""
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return False
        return now.st_ino != os.fstat(file.fileno()).st_ino or now.st_size < file.tell()


class Logs:
    """Reads several logs, each by the name of who writes it."""

    def __init__(self) -> None:
        self._logs: dict[str, LogLines] = {}

    def last(self, paths: Sequence[tuple[str, Path]], count: int) -> list[Line]:
        """The last lines of each, in order of time as far as they tell it."""
        found = [_timed(name, self._of(name, path).last(count)) for name, path in paths]
        return [line for _, line in heapq.merge(*found, key=lambda timed: timed[0])]

    def further(self, paths: Sequence[tuple[str, Path]]) -> list[Line]:
        """What each has written since; a log that is new here is read from its beginning."""
        return [(name, line) for name, path in paths for line in self._of(name, path).further()]

    def close(self) -> None:
        """Closes the files."""
        for log in self._logs.values():
            log.close()

    def _of(self, name: str, path: Path) -> LogLines:
        return self._logs.setdefault(name, LogLines(path))


def _timed(name: str, lines: list[str]) -> Iterator[tuple[str, Line]]:
    """Lines with their times; one that tells none stays behind the one before it."""
    time = ""
    for line in lines:
        stamp = _TIME.search(line)
        time = stamp.group(1) if stamp else time
        yield time, (name, line)
