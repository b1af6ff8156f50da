"""A limit on frames that cost the one who sends them next to nothing, and this side work.

Source: RFC 9113, 10.5; the attacks are known as rapid reset, ping flood, settings flood and empty frames flood.
"""


class FrameBudget:
    """Frames without use that a connection may still send: a bucket that fills again with time.

    It holds `burst` of them, and gets `each_second` back.
    """

    def __init__(self, now: float, burst: float = 500.0, each_second: float = 100.0) -> None:
        self._left, self._filled, self._burst, self._each_second = burst, now, burst, each_second

    def spend(self, now: float) -> bool:
        """Counts one such frame at the time `now`, in seconds. Returns whether there was room for it."""
        self._left = min(self._burst, self._left + max(0.0, now - self._filled) * self._each_second)
        self._filled = now
        self._left -= 1
        return self._left >= 0

    def earn(self, frames: int) -> None:
        """Gives back so many, for what was sent and makes the other side answer."""
        self._left = min(self._burst, self._left + frames)
