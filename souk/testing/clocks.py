"""Clocks of other machines, for tests of what must not depend on whose clock it is."""

from souk.kernel.clock import MICROSECONDS, SystemClock


class OtherMachine(SystemClock):
    """A clock whose date is `ahead` seconds ahead of this machine's, and which was started at another time."""

    def __init__(self, ahead: float) -> None:
        self._ahead = ahead

    def now(self) -> int:
        return super().now() + round(self._ahead * MICROSECONDS)

    def monotonic(self) -> float:
        return super().monotonic() + 2 * abs(self._ahead)


HOURS = 5 * 3_600.0
TRUE, AHEAD, BEHIND = OtherMachine(0.0), OtherMachine(HOURS), OtherMachine(-HOURS)
