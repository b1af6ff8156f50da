"""How far this process's clock is from those that decide, and that it takes no requests when that is too far.

    souk_clock_skew_seconds{against}    by how much this process is ahead; negative when it is behind

What a service decides over data goes by its database's clock in any case. The process's own date stands in
what it signs for others and in what it checks of theirs, so a process that is far off would only be refused.
"""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry

from souk.telemetry.metrics import Sample, measure

MOST = 30.0
"""Seconds by which a process may differ and still be ready."""
WELL_BELOW = 25.0
"""Seconds below which it is ready again."""

Ahead = Callable[[], float]


class ClockSkew:
    """Watches clocks by name, each by a function that says how far this process is ahead of it, in seconds."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._watched: dict[str, Ahead] = {}
        self._off = False
        measure(registry, "souk_clock_skew_seconds", "How far this process is ahead.", ("against",), self._samples)

    def watch(self, against: str, ahead: Ahead) -> None:
        """Compares with one more clock."""
        self._watched[against] = ahead

    async def probe(self) -> str:
        """What is wrong, for `Health`; once off, it stays so until it is well below the limit."""
        against, ahead = self._worst({name: read() for name, read in self._watched.items()})
        self._off = abs(ahead) > (WELL_BELOW if self._off else MOST)
        if not self._off:
            return ""
        where = "ahead of" if ahead > 0 else "behind"
        return f"{abs(ahead):.0f} s {where} {against}; set this machine's clock, or see why NTP does not"

    def _worst(self, found: Mapping[str, float]) -> tuple[str, float]:
        return max(found.items(), key=lambda one: abs(one[1]), default=("", 0.0))

    def _samples(self) -> Iterator[Sample]:
        for against, ahead in self._watched.items():
            yield {"against": against}, ahead()
