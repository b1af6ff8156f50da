"""Which records of logs are wanted: by trace, by what they name, by level, time and text."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from souk.admin.logs.records import LEVELS, LogRecord, Stamp, stamp_of, trace_of

_ALIKE = 64 * 1024
"""Bytes of lines without a time that still belong to the line before them; such as those of a traceback."""
_LEVEL_MARKS = {
    "warning": (b'"warning"', b'"warn"', b"WARNING", b" # "),
    "error": (b'"error"', b'"critical"', b'"exception"', b"ERROR", b"FATAL", b"PANIC"),
}


@dataclass(frozen=True, slots=True)
class LogFilter:
    """What a record must be: all that is given. What is empty, or 0, is not asked for.

    `trace` is a trace's id. `about` is an id of anything, such as an order: wanted are the records that name it, and
    all of a trace of which a record names it. `level` is the lowest level. `since` and `until` are microseconds since
    1970. `text` is looked for in all of a record, whatever the case of its letters.
    """

    trace: str = ""
    about: str = ""
    level: str = ""
    since: int = 0
    until: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class ReadBack:
    """Says that all of a log from the time `at` on, in microseconds since 1970, has been read."""

    at: int


class Wanted:
    """Judges lines by a filter. `names` are words of which a record must have one; none means any record."""

    def __init__(self, wanted: LogFilter, names: Iterable[str] = ()) -> None:
        self.filter = wanted
        self._names: tuple[re.Pattern[bytes], ...] = ()
        self._name_bytes: set[bytes] = set()
        for name in names:
            self.add(name)
        self._trace = _word(wanted.trace) if wanted.trace else None
        self._text = wanted.text.lower().encode()
        self._levels = frozenset(LEVELS[LEVELS.index(wanted.level) :]) if wanted.level else frozenset(LEVELS)
        self._marks = _marks(wanted.level)

    def add(self, name: str) -> None:
        """Wants records with this word as well."""
        if name and name.encode() not in self._name_bytes:
            self._name_bytes.add(name.encode())
            self._names = (*self._names, _word(name))

    def may_be_in(self, block: bytes) -> bool:
        """Whether a wanted record can be in these lines: a quick look that may err on the side of yes."""
        if self.filter.trace and self.filter.trace.encode() not in block:
            return False
        if self._name_bytes and not any(name in block for name in self._name_bytes):
            return False
        if self._marks and not any(mark in block for mark in self._marks):
            return False
        return not self._text or self._text in block.lower()

    def is_wanted(self, stamp: Stamp | None, group: bytes) -> bool:
        """Whether a line is wanted, with the lines that belong to it: `group`."""
        wanted = self.filter
        if stamp is None:
            if wanted.since or wanted.until or wanted.level:
                return False
        elif stamp.level not in self._levels or not wanted.since <= stamp.at <= (wanted.until or stamp.at):
            return False
        if self._trace is not None and self._trace.search(group) is None:
            return False
        if self._names and not any(name.search(group) for name in self._names):
            return False
        return not self._text or self._text in group.lower()


def _marks(level: str) -> tuple[bytes, ...]:
    if level in {"", "debug", "info"}:
        return ()
    return tuple(mark for one in LEVELS[LEVELS.index(level) :] for mark in _LEVEL_MARKS[one])


def _word(word: str) -> re.Pattern[bytes]:
    return re.compile(rb"(?<![0-9A-Za-z])" + re.escape(word.encode()) + rb"(?![0-9A-Za-z])")


def newest_first(instance: str, blocks: Iterable[bytes], wanted: Wanted) -> Iterator[LogRecord | ReadBack]:
    """Gives the wanted records of one log, whose blocks come newest first, and behind each block how far it has been
    read back; ends at the first that is too old."""
    later = b""
    for block in blocks:
        lines = block if block.endswith(b"\n") else block + b"\n"  # the last line of a file may be unfinished
        lines += later
        first = _first_stamp(lines)
        if first is None and len(lines) < _ALIKE:
            later = lines
            continue
        start, stamp = first or (0, None)
        start = start if start < _ALIKE else 0
        later = lines[:start]
        if wanted.may_be_in(lines):
            yield from reversed(list(_groups(instance, lines[start:], wanted)))
        if stamp is not None:
            if stamp.at < wanted.filter.since:
                return
            yield ReadBack(stamp.at)
    if later:
        yield from reversed(list(_groups(instance, later, wanted)))


def _first_stamp(block: bytes) -> tuple[int, Stamp] | None:
    """Finds the first line that has a time: its offset, and what it says."""
    start = 0
    while start < len(block):
        end = block.find(b"\n", start)
        end = len(block) if end < 0 else end
        stamp = stamp_of(block[start:end])
        if stamp is not None:
            return start, stamp
        start = end + 1
    return None


def _groups(instance: str, block: bytes, wanted: Wanted) -> Iterator[LogRecord]:
    judge = Judge(instance, wanted)
    for line in block.removesuffix(b"\n").split(b"\n"):
        yield from judge.take(line)
    yield from judge.rest()


class Judge:
    """Takes the lines of one log in their order, and gives those that are wanted.

    A line without a time belongs to the one before it, and is judged with it.
    """

    def __init__(self, instance: str, wanted: Wanted) -> None:
        self._instance, self._wanted = instance, wanted
        self._group: list[bytes] = []
        self._stamp: Stamp | None = None
        self._goes_on = False

    def take(self, line: bytes) -> Iterator[LogRecord]:
        """Takes the next line; gives what is decided by it, which are lines before it."""
        stamp = stamp_of(line)
        if stamp is not None or self._stamp is None:
            yield from self.rest()
            self._stamp, self._goes_on = stamp, False
        self._group.append(line)

    def rest(self) -> Iterator[LogRecord]:
        """Decides about the lines that were taken last. Lines that belong to them may still be taken."""
        group, self._group = self._group, []
        if not group:
            return
        self._goes_on = self._goes_on or self._wanted.is_wanted(self._stamp, b"\n".join(group))
        if self._goes_on:
            at, level = (0, "info") if self._stamp is None else (self._stamp.at, self._stamp.level)
            trace = trace_of(group[0])
            for line in group:
                text = line.decode(errors="replace").rstrip("\r")
                yield LogRecord(self._instance, text, at, level, trace_of(line) or trace)
