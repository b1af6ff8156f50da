"""Time. Nothing else in Souk reads it."""

import time
from datetime import UTC, datetime
from typing import Protocol

MICROSECONDS = 1_000_000


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


class FakeClock:
    """A clock that a test moves."""

    def __init__(self, now: int = 1_800_000_000 * MICROSECONDS, monotonic: float = 1_000.0) -> None:
        self._now, self._monotonic = now, monotonic

    def now(self) -> int:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Moves both readings forward."""
        self._now += round(seconds * MICROSECONDS)
        self._monotonic += seconds


def to_datetime(microseconds: int) -> datetime:
    """The UTC date of a reading of `Clock.now`."""
    return datetime.fromtimestamp(microseconds / MICROSECONDS, UTC)
