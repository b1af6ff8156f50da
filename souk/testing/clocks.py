"""Clocks for tests: one that a test moves, and clocks of machines whose date is wrong."""

from souk.kernel.clock import MICROSECONDS, SystemClock


class FakeClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now: int = 1_800_000_000 * MICROSECONDS, monotonic: float = 1_000.0) -> None:
        self._now, self._monotonic = now, monotonic

    def now(self) -> int:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Moves the date and the monotonic time forward."""
        self._now += round(seconds * MICROSECONDS)
        self._monotonic += seconds


class OtherMachine(SystemClock):
    """A clock whose date is `ahead` seconds ahead of this machine's, and whose monotonic time differs too."""

    def __init__(self, ahead: float) -> None:
        self._ahead = ahead

    def now(self) -> int:
        return super().now() + round(self._ahead * MICROSECONDS)

    def monotonic(self) -> float:
        return super().monotonic() + 2 * abs(self._ahead)


HOURS = 5 * 3_600.0
TRUE, AHEAD, BEHIND = OtherMachine(0.0), OtherMachine(HOURS), OtherMachine(-HOURS)
