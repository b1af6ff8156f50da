"""The clock. No other module of Souk reads the time."""

import time
from datetime import UTC, datetime
from typing import Protocol

MICROSECONDS = 1_000_000
"""The number of microseconds in a second."""


class Clock(Protocol):
    """A clock with two readings: one for dates, and one for durations and deadlines."""

    def now(self) -> int:
        """Returns microseconds since 1970-01-01 UTC; the value may jump."""
        ...

    def monotonic(self) -> float:
        """Returns seconds since an arbitrary start; the value never goes back. Deadlines are times of this clock."""
        ...


class SystemClock:
    """Reads the machine's clocks."""

    monotonic = staticmethod(time.monotonic)  # read many times for each request, so nothing stands before it

    def now(self) -> int:
        return time.time_ns() // 1_000


def from_datetime(moment: datetime) -> int:
    """Converts a date to a reading of `Clock.now`."""
    return round(moment.timestamp() * MICROSECONDS)


def to_datetime(microseconds: int) -> datetime:
    """Converts a reading of `Clock.now` to a date in UTC."""
    return datetime.fromtimestamp(microseconds / MICROSECONDS, UTC)
