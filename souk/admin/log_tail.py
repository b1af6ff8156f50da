"""Reads the last lines of logs, and the lines that follow them, across a log's rotation.

Every function blocks for as long as its reads from files take.
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
"""The name of the process that wrote a line, and the line."""


class LogLines:
    """Reads one log. The file need not exist yet, and may be replaced by a new one at any time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""

    def last(self, count: int) -> list[str]:
        """Gives the last whole lines, at most `count`; `further` gives those after them."""
        found = self._last(count)
        missing = count - len(found)
        return [*self._before(missing), *found] if missing > 0 else found

    def _before(self, count: int) -> list[str]:
        """Gives the last lines of the log before this one, which was rotated when it was full."""
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
        """Gives the whole lines that were written since the last call."""
        if self._file is None:
            self._open()
        lines = self._read()
        if self._file is not None and self._replaced(self._file):
            self.close()
            self._open()
            lines += self._read()
        return lines

    def close(self) -> None:
        """Closes the file; a later call reads from the beginning."""
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
        """Gives the whole lines in `text`, and keeps the rest for later."""
        lines = text.split(b"\n")
        self._rest = lines.pop()
        return [line.decode(errors="replace").rstrip("\r") for line in lines]

    def _replaced(self, file: BinaryIO) -> bool:
        """Tells whether the path names another file now, or the file was truncated."""
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return False
        return now.st_ino != os.fstat(file.fileno()).st_ino or now.st_size < file.tell()


class Logs:
    """Reads several logs, each under the name of the process that writes it."""

    def __init__(self) -> None:
        self._logs: dict[str, LogLines] = {}

    def last(self, paths: Sequence[tuple[str, Path]], count: int) -> list[Line]:
        """Gives the last `count` lines of each log, merged by their times if they have one."""
        found = [_timed(name, self._of(name, path).last(count)) for name, path in paths]
        return [line for _, line in heapq.merge(*found, key=lambda timed: timed[0])]

    def further(self, paths: Sequence[tuple[str, Path]]) -> list[Line]:
        """Gives the lines written to each log since the last call; a log that is new is read from its beginning."""
        return [(name, line) for name, path in paths for line in self._of(name, path).further()]

    def close(self) -> None:
        """Closes the files."""
        for log in self._logs.values():
            log.close()

    def _of(self, name: str, path: Path) -> LogLines:
        return self._logs.setdefault(name, LogLines(path))


def _timed(name: str, lines: list[str]) -> Iterator[tuple[str, Line]]:
    """Gives lines with their times; a line without one gets the time of the line before it."""
    time = ""
    for line in lines:
        stamp = _TIME.search(line)
        time = stamp.group(1) if stamp else time
        yield time, (name, line)
