"""Counts requests in the memory of this process."""

from collections.abc import Sequence
from heapq import nsmallest

from souk.gateway.limits.gcra import MICROSECONDS, Rate
from souk.gateway.limits.policy import LimitPolicy
from souk.gateway.limits.store import Quota, Wanted
from souk.kernel.clock import Clock

MOST_KEYS = 50_000
"""The most keys that are remembered for one policy, in about 10 MB."""


class KeyTable:
    """The theoretical arrival times of one policy's keys, at most `most` of them.

    When it is full, keys whose time has come are dropped, for they say nothing; if there are none, those that have used
    the least: whoever floods it with new keys loses these, and not the count of those that are limited.
    """

    def __init__(self, rate: Rate, most: int) -> None:
        self.rate, self._most = rate, most
        self.times: dict[str, int] = {}

    def set(self, key: str, tat: int, now: int) -> None:
        """Remembers a key's time."""
        if key not in self.times and len(self.times) >= self._most:
            self._shrink(now)
        self.times[key] = tat

    def mend(self, key: str, now: int) -> None:
        """Brings a time from before the clock went back to what it counts as, so that it passes from now on."""
        if self.times.get(key, 0) > now + self.rate.capacity:
            self.times[key] = now + self.rate.capacity

    def _shrink(self, now: int) -> None:
        # A time beyond the capacity is from before the clock went back: it counts as the present does.
        self.times = {key: min(tat, now + self.rate.capacity) for key, tat in self.times.items() if tat > now}
        if len(self.times) >= self._most:
            for key in nsmallest(max(1, self._most // 10), self.times, key=self.times.__getitem__):
                del self.times[key]


class MemoryQuotas:
    """A store for one process. Its clock is monotonic; one that jumps does no lasting harm (see `Rate.after`)."""

    def __init__(self, clock: Clock, most_keys: int = MOST_KEYS) -> None:
        self._clock, self._most_keys = clock, most_keys
        self._tables: dict[str, KeyTable] = {}

    def take(self, wanted: Sequence[Wanted]) -> list[Quota]:
        """Counts one request against all of the limits, or none; never waits."""
        now = int(self._clock.monotonic() * MICROSECONDS)
        found, fits = [], True
        for policy, key in wanted:
            table = self._tables.get(policy.name) or self._table(policy)
            table.rate = policy.rate  # which may have been changed
            after = policy.rate.after(table.times.get(key, 0), now)
            if after > policy.rate.capacity:
                fits = False
            found.append((policy, table, key, after))
        if fits:
            for _, table, key, after in found:
                table.set(key, now + after, now)
        else:
            for _, table, key, _ in found:
                table.mend(key, now)
        return [quota_of(policy, after, counted=fits) for policy, _, _, after in found]

    def give_back(self, wanted: Sequence[Wanted]) -> None:
        """Takes one request back."""
        for policy, key in wanted:
            table = self._tables.get(policy.name)
            if table is not None and key in table.times:
                table.times[key] -= policy.rate.interval

    def _table(self, policy: LimitPolicy) -> KeyTable:
        return self._tables.setdefault(policy.name, KeyTable(policy.rate, self._most_keys))


def quota_of(policy: LimitPolicy, after: int, *, counted: bool) -> Quota:
    """Makes the quota of a key whose TAT lies `after` ahead with this request, whether or not that was counted."""
    rate = policy.rate
    ahead = after if counted else after - rate.interval
    remaining = (rate.capacity - ahead) // rate.interval
    wait = after - rate.capacity
    return Quota(
        policy, remaining if remaining > 0 else 0, wait / MICROSECONDS if wait > 0 else 0.0, ahead / MICROSECONDS
    )
