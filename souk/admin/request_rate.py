"""Requests per second, as of the last few."""

import asyncio
from collections import deque

from souk.kernel.clock import Clock
from souk.telemetry.traffic import Traffic

EVERY = 1.0
KEPT = 6
"""Looks that are kept: the rate is that of the time between the oldest and now."""


class RequestRate:
    """Looks at a count again and again; see `run`."""

    def __init__(self, traffic: Traffic, clock: Clock) -> None:
        self._traffic, self._clock = traffic, clock
        self._seen: deque[tuple[float, int]] = deque(maxlen=KEPT)
        self.look()

    def look(self) -> None:
        """Remembers what has been served by now."""
        self._seen.append((self._clock.monotonic(), self._traffic.served))

    def __call__(self) -> float:
        """The rate as of now."""
        then, served = self._seen[0]
        passed = self._clock.monotonic() - then
        return (self._traffic.served - served) / passed if passed > 0 else 0.0

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            self.look()
