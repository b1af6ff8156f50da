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
_GAP = 2
"""The numbers in a row that no file has, after which there are no more: one is free for a moment in each rotation."""
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
        before = LogLines(self._numbered(1))
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
        """Gives the whole lines that were written since the last call, in the order in which they were written.

        None is lost to a rotation while the rotated files are kept.
        """
        if self._file is None:
            self._open()
        # Looked up before the read: whoever writes to the next file writes no more to this one.
        following = None if self._file is None else self._following(self._file)
        lines = self._read()
        while following is not None:
            lines += self._unfinished()
            self.close()
            self._file = following
            following = self._following(self._file)
            lines += self._read()
        return lines

    def _following(self, file: BinaryIO) -> BinaryIO | None:
        """Opens the file that was begun after this one; the same one if it was emptied. None while there is none."""
        own = os.fstat(file.fileno())
        while True:
            number = self._number_of(own)
            if number == 0 and own.st_size >= file.tell():
                return None
            following = _opened(self._numbered(max(number - 1, 0)))
            if following is None:
                return None
            # Between the two steps there may have been a rotation: then it was another file.
            if number <= 0 or self._number_of(own) == number:
                return following
            following.close()

    def _number_of(self, own: os.stat_result) -> int:
        """Gives the number of a file in its name, 0 for the one that is written; -1 if it is kept no longer.

        Two rotations during one search may each leave a number free just where it looks. Then it is made again.
        """
        while True:
            first = _opened(self._path)  # open, so that no new file gets its inode
            try:
                number = self._searched(own)
                if number >= 0 or self._is_written(first):
                    return number
            finally:
                if first is not None:
                    first.close()

    def _is_written(self, file: BinaryIO | None) -> bool:
        """Tells whether this file is the one that is written; None if there is to be none."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return file is None
        return file is not None and os.path.samestat(os.fstat(file.fileno()), found)

    def _searched(self, own: os.stat_result) -> int:
        number = missing = 0
        while missing < _GAP:
            try:
                if os.path.samestat(self._numbered(number).stat(), own):
                    return number
                missing = 0
            except FileNotFoundError:
                missing += 1
            number += 1
        return -1

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path

    def close(self) -> None:
        """Closes the file; a later call reads from the beginning."""
        if self._file is not None:
            self._file.close()
        self._file, self._rest = None, b""

    def _open(self) -> None:
        self._file = _opened(self._path)

    def _read(self) -> list[str]:
        return [] if self._file is None else self._whole(self._rest + self._file.read())

    def _whole(self, text: bytes) -> list[str]:
        """Gives the whole lines in `text`, and keeps the rest for later."""
        lines = text.split(b"\n")
        self._rest = lines.pop()
        return [line.decode(errors="replace").rstrip("\r") for line in lines]

    def _unfinished(self) -> list[str]:
        """Gives the end of a file to which no more is written, if it is no whole line."""
        return [self._rest.decode(errors="replace")] if self._rest else []


def _opened(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


class Logs:
    """Reads several logs, each under the name of the process that writes it."""

    def __init__(self) -> None:
        self._logs: dict[str, LogLines] = {}

    def last(self, paths: Sequence[tuple[str, Path]], count: int) -> list[Line]:
        """Gives the last `count` lines of each log, merged by their times if they have one."""
        found = [_timed(name, self._of(name, path).last(count)) for name, path in paths]
        return [line for _, line in heapq.merge(*found, key=lambda timed: timed[0])]

    def further(self, paths: Sequence[tuple[str, Path]]) -> list[Line]:
        """Gives the lines written to each log since the last call; a log that is new is read from its beginning.

        A log of an earlier call is read even if it is not among `paths` any more: a process writes last as it ends.
        """
        for name, path in paths:
            self._of(name, path)
        return [(name, line) for name, log in self._logs.items() for line in log.further()]

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
