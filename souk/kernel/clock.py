"""Time. Nothing else in Souk reads it."""

import time
from datetime import UTC, datetime
from typing import Protocol

MICROSECONDS = 1_000_000
"""In a second."""


class Clock(Protocol):
    """Two readings: one to tell the date by, one to measure durations with."""

    def now(self) -> int:
        """Microseconds since 1970-01-01 UTC; may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, from an arbitrary start; deadlines are points on it."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> int:
        return time.time_ns() // 1_000

    def monotonic(self) -> float:
        return time.monotonic()


def to_datetime(microseconds: int) -> datetime:
    """The UTC date of a reading of `Clock.now`."""
    return datetime.fromtimestamp(microseconds / MICROSECONDS, UTC)
