"""Compares this process's clock with others, and makes the process not ready while it is too far off.

    souk_clock_skew_seconds{against}    by how much this process is ahead; negative when it is behind

What a service decides about its data goes by its database's clock in any case. The process's own date is in the
tokens that it signs, and is compared with the dates in those that it checks, so the calls of a process that is far
off would only be refused.

A process is off when one of its databases disagrees, or when more than half of all compared clocks disagree on the
same side. So one process that is off does not make the processes that call it not ready as well.
"""

from collections.abc import Callable, Iterator, Mapping
from statistics import median

from prometheus_client import CollectorRegistry

from souk.telemetry.metrics import Sample, measure

MOST = 30.0
"""Seconds by which a process's clock may differ while the process is ready."""
WELL_BELOW = 25.0
"""Seconds: a process that was off is ready again when it differs by no more than these."""
_NAMED = 3

Ahead = Callable[[], float]


class ClockSkew:
    """Watches clocks by name, each by a function that tells how far this process is ahead of it, in seconds.

    `peers` tells the same for the instances that this process calls, which come and go.
    """

    def __init__(self, registry: CollectorRegistry, peers: Callable[[], Mapping[str, float]] = dict) -> None:
        self._databases: dict[str, Ahead] = {}
        self._peers = peers
        self._off = False
        measure(registry, "souk_clock_skew_seconds", "How far this process is ahead.", ("against",), self._samples)

    def watch(self, database: str, ahead: Ahead) -> None:
        """Adds the clock of a database to those that are compared."""
        self._databases[database] = ahead

    async def probe(self) -> str:
        """Tells `Health` what is wrong, or "". Once off, the process stays so until it is well below the limit."""
        limit = WELL_BELOW if self._off else MOST
        databases = {name: read() for name, read in self._databases.items()}
        found = {name: ahead for name, ahead in databases.items() if abs(ahead) > limit}
        if not found:
            found = _most({**databases, **self._peers()}, limit)
        self._off = bool(found)
        if not found:
            return ""
        ahead = median(found.values())
        where = "ahead of" if ahead > 0 else "behind"
        return f"{abs(ahead):.0f} s {where} {_names(found)}; set this machine's clock, or see why NTP does not"

    def _samples(self) -> Iterator[Sample]:
        for database, ahead in self._databases.items():
            yield {"against": database}, ahead()
        for peer, seconds in self._peers().items():
            yield {"against": peer}, seconds


def _most(found: Mapping[str, float], limit: float) -> dict[str, float]:
    """Gives the clocks that disagree on the same side, when they are more than half of all; else none."""
    for side in (1, -1):
        off = {name: ahead for name, ahead in found.items() if side * ahead > limit}
        if 2 * len(off) > len(found):
            return off
    return {}


def _names(found: Mapping[str, float]) -> str:
    names = sorted(found)
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
