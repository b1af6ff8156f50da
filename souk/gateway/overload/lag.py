"""Measures the event loop's lag: how much later than it should a timer goes off."""

import asyncio
from typing import NoReturn

from souk.gateway.overload.gate import OverloadGate
from souk.kernel.clock import Clock

EVERY = 0.05
"""Seconds between two samples."""


async def watch_lag(gate: OverloadGate, clock: Clock) -> NoReturn:
    """Gives the gate samples, until it is cancelled."""
    while True:
        due = clock.monotonic() + EVERY
        await asyncio.sleep(EVERY)
        gate.sample(max(0.0, clock.monotonic() - due))
