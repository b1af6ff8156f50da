"""Finds by time where a log is to be read: by halving, as a process writes lines nearly in the order of their times.

A file of any size costs some twenty small reads. Where no time is found the answer errs on the side of reading more.
"""

import os
from typing import NamedTuple

from souk.admin.logs.records import stamp_of

SLACK = 10_000_000
"""Microseconds by which a line may stand behind one with a later time: several threads write, and clocks are set."""
NEAR = 64 * 1024
"""Bytes that are no longer divided."""
_PROBE = 4 * 1024
_LONGEST_PROBE = 1024 * 1024


class _TimedLine(NamedTuple):
    """The offset of a line in its file, and its time in microseconds since 1970."""

    start: int
    at: int


def end_of_time(descriptor: int, end: int, until: int) -> int:
    """Returns the offset of a line behind which, up to `end`, all is later than `until`, in microseconds since 1970.

    It is `end` if nothing is known to be later. The position of the descriptor does not change.
    """
    low, high = 0, end
    while high - low > NEAR:
        middle = (low + high) // 2
        line = _first_timed(descriptor, middle, high)
        if line is None:  # what is there belongs to a line before it
            high = middle
        elif line.at > until + SLACK:
            high, end = middle, line.start
        else:
            low = line.start
    return end


def _first_timed(descriptor: int, offset: int, end: int) -> _TimedLine | None:
    """Finds the first line with a time that begins behind `offset`; None if there is none near enough."""
    size = _PROBE
    while True:
        size = min(size, end - offset)
        start = 0
        text = os.pread(descriptor, size, offset)
        while (newline := text.find(b"\n", start)) >= 0:
            start = newline + 1
            stop = text.find(b"\n", start)
            if stop < 0:
                break
            if (stamp := stamp_of(text[start:stop])) is not None:
                return _TimedLine(offset + start, stamp.at)
        if size >= min(end - offset, _LONGEST_PROBE):
            return None
        size *= 4
