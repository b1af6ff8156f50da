"""Counts calls of a version: how many, how many failed, and how long they took."""

from collections import Counter
from collections.abc import Mapping
from math import ceil, exp, inf, log

_FIRST, _GROWTH = 0.0001, log(1.05)
"""The first bound in seconds, and the logarithm of what each next bound is larger by."""


def bucket_of(seconds: float) -> int:
    """Gives the number of the bucket of a duration: the first whose upper bound is not below it."""
    return 0 if seconds <= _FIRST else ceil(log(seconds / _FIRST) / _GROWTH - 1e-9)


def upper_bound(bucket: int) -> float:
    """Gives the longest duration, in seconds, that is counted in a bucket."""
    return _FIRST * exp(bucket * _GROWTH)


class Tally:
    """Calls of one version. Durations are kept in buckets of 5 %, so that a tally stays small."""

    __slots__ = ("calls", "durations", "failures")

    def __init__(self, calls: int = 0, failures: int = 0, durations: Mapping[int, int] | None = None) -> None:
        self.calls, self.failures = calls, failures
        self.durations: Counter[int] = Counter(durations or {})

    def add(self, failed: bool, seconds: float) -> None:
        """Counts a call that ended."""
        self.calls += 1
        self.failures += failed
        self.durations[bucket_of(seconds)] += 1

    def copy(self) -> "Tally":
        """Gives the counts as they are now."""
        return Tally(self.calls, self.failures, self.durations)

    def plus(self, other: "Tally") -> "Tally":
        """Gives both together."""
        return Tally(self.calls + other.calls, self.failures + other.failures, self.durations + other.durations)

    def since(self, earlier: "Tally") -> "Tally":
        """Gives what was counted after `earlier`, a copy of this tally."""
        durations = self.durations - earlier.durations
        return Tally(self.calls - earlier.calls, self.failures - earlier.failures, durations)

    def slower_than(self, bucket: int) -> int:
        """Counts calls that took longer than the upper bound of a bucket."""
        return sum(count for at, count in self.durations.items() if at > bucket)

    def quantile_bucket(self, share: float) -> int:
        """Gives the lowest bucket that `share` of the calls are not slower than; there must be calls."""
        wanted, counted = share * sum(self.durations.values()), 0
        for at in sorted(self.durations):
            counted += self.durations[at]
            if counted >= wanted - 1e-9:
                return at
        return max(self.durations)

    def quantile(self, share: float) -> float:
        """Gives a quantile of the durations in seconds, up to 5 % too high; infinite without calls."""
        return upper_bound(self.quantile_bucket(share)) if self.durations else inf
