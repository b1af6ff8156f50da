"""Reads a log backwards from its end, and the lines that follow, across the log's rotation.

Every function blocks for as long as its reads from files take.
"""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from souk.admin.logs.blocks import PIECE, blocks
from souk.admin.logs.seek import end_of_time

_GAP = 2
"""The numbers in a row that no file has, after which there are no more: one is free for a moment in each rotation."""


class LogLines:
    """Reads one log. The file need not exist yet, and may be replaced by a new one at any time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""

    def skip(self) -> None:
        """Goes behind the last whole line: `further` gives what is after it, and `before` what is before it."""
        self.close()
        self._open()
        if self._file is None:
            return
        size = start = self._file.seek(0, os.SEEK_END)
        kept = b""
        while start > 0 and b"\n" not in kept:
            length = min(PIECE, start)
            start = self._file.seek(start - length)
            kept = self._file.read(length) + kept
        self._file.seek(size)
        self._rest = kept.rpartition(b"\n")[2]

    def before(self, until: int = 0) -> Iterator[bytes]:
        """Gives what the log holds before its position, in its rotated files too: the newest block first.

        A block has whole lines. What is deleted meanwhile is left out, and nothing is given twice. With `until`, in
        microseconds since 1970, most of what was written later is not read.
        """
        if self._file is None:
            yield from self._older([], 1, until)
            return
        own = os.fstat(self._file.fileno())
        yield from _blocks_of(self._file, self._file.tell() - len(self._rest), until)
        yield from self._older([own], self._number_of(own) + 1, until)

    def _older(self, given: list[os.stat_result], number: int, until: int) -> Iterator[bytes]:
        missing = 0
        while number and missing < _GAP:  # a file that is kept no longer has the number -1, and none before it
            file = _opened(self._numbered(number))
            number += 1
            if file is None:
                missing += 1
                continue
            with closing(file):
                found = os.fstat(file.fileno())
                # A rotation meanwhile raises all numbers: the next one may be of a file that was given already.
                if not any(os.path.samestat(found, one) for one in given):
                    given.append(found)
                    yield from _blocks_of(file, found.st_size, until)

    def further(self) -> list[bytes]:
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

    def _read(self) -> list[bytes]:
        return [] if self._file is None else self._whole(self._rest + self._file.read())

    def _whole(self, text: bytes) -> list[bytes]:
        """Gives the whole lines in `text`, and keeps the rest for later."""
        lines = text.split(b"\n")
        self._rest = lines.pop()
        return lines

    def _unfinished(self) -> list[bytes]:
        """Gives the end of a file to which no more is written, if it is no whole line."""
        return [self._rest] if self._rest else []


def _blocks_of(file: BinaryIO, end: int, until: int) -> Iterator[bytes]:
    return blocks(file.fileno(), end_of_time(file.fileno(), end, until) if until else end)


def _opened(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None
