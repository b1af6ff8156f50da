"""Sliding windows of calls, by count (the last N calls) or by time (the calls of the last N seconds).

Source: resilience4j, "CircuitBreaker", count-based and time-based sliding window. Both keep sums, so
recording and reading take constant time.
"""

from typing import Protocol

FAILED = 1
SLOW = 2


class Window(Protocol):
    """A window with the sums over its calls, as of the last `record` or `evict`."""

    calls: int
    failed: int
    slow: int

    def record(self, now: float, outcome: int) -> None:
        """Adds a call that ended at `now`; `outcome` is 0, FAILED, SLOW, or both."""
        ...

    def evict(self, now: float) -> None:
        """Removes the calls that are no longer in the window at `now`."""
        ...


class CountWindow:
    """The last `size` calls, in a ring."""

    __slots__ = ("_next", "_ring", "_size", "calls", "failed", "slow")

    def __init__(self, size: int) -> None:
        self._ring = bytearray(size)
        self._size = size
        self._next = 0
        self.calls = self.failed = self.slow = 0

    def record(self, now: float, outcome: int) -> None:
        """Adds a call, in the place of the oldest one once the window is full."""
        index = self._next
        self._next = index + 1 if index + 1 < self._size else 0
        if self.calls < self._size:
            self.calls += 1
        # An unused slot of the ring holds 0, which takes nothing off the sums.
        gone = self._ring[index]
        if gone != outcome:
            self._ring[index] = outcome
            self.failed += (outcome & FAILED) - (gone & FAILED)
            self.slow += (outcome >> 1) - (gone >> 1)

    def evict(self, now: float) -> None:
        """Does nothing: time does not change this window."""


class TimeWindow:
    """The calls of the last `size` seconds, summed by whole seconds."""

    __slots__ = ("_buckets", "_newest", "_size", "calls", "failed", "slow")

    def __init__(self, size: int) -> None:
        self._buckets: list[list[int]] = [[0, 0, 0] for _ in range(size)]
        self._size = size
        self._newest: int | None = None
        self.calls = self.failed = self.slow = 0

    def record(self, now: float, outcome: int) -> None:
        """Adds a call to the second in which it ended."""
        self.evict(now)
        failed, slow = outcome & FAILED, outcome >> 1
        bucket = self._buckets[int(now) % self._size]
        bucket[0] += 1
        bucket[1] += failed
        bucket[2] += slow
        self.calls += 1
        self.failed += failed
        self.slow += slow

    def evict(self, now: float) -> None:
        """Removes the seconds that are no longer in the window at `now`."""
        second = int(now)
        if second == self._newest:
            return
        if self._newest is not None:
            # After a pause longer than the window, each bucket is emptied only once.
            first = max(self._newest + 1, second - self._size + 1)
            for gone in range(first, second + 1):
                self._empty(self._buckets[gone % self._size])
        self._newest = second

    def _empty(self, bucket: list[int]) -> None:
        self.calls -= bucket[0]
        self.failed -= bucket[1]
        self.slow -= bucket[2]
        bucket[:] = (0, 0, 0)
