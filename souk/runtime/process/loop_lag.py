"""Measures how late the event loop of this process is: what everything that it does waits for."""

import asyncio
from typing import NoReturn

from prometheus_client import CollectorRegistry

from souk.kernel.clock import Clock
from souk.telemetry.latencies import Latencies

EVERY = 0.25
"""Seconds between two samples."""
_NAME = "souk_event_loop_lag_seconds"


class LoopLag:
    """Shows in `registry` how much later than they should timers go off: souk_event_loop_lag_seconds, a histogram."""

    def __init__(self, registry: CollectorRegistry, clock: Clock) -> None:
        self._clock = clock
        self._seconds = Latencies(registry, _NAME, "How late the event loop is, by samples.", ()).labels()

    async def run(self) -> NoReturn:
        """Takes samples until it is cancelled."""
        while True:
            due = self._clock.monotonic() + EVERY
            await asyncio.sleep(EVERY)
            self._seconds.observe(max(0.0, self._clock.monotonic() - due))
