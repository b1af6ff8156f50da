"""What the map asks about engines: what services asked of them in the last minute."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from souk.console.pages.telemetry.calls import LATELY
from souk.console.pages.telemetry.source import TelemetrySource
from souk.console.telemetry.queries.engines import EngineUse, read_engines
from souk.kernel.clock import MICROSECONDS
from souk.kernel.errors import ConfigurationError

AGAIN = 5 * MICROSECONDS
"""Microseconds for which an answer is good: the figures behind it come every five seconds."""

EnginesNow: TypeAlias = Callable[[int], Awaitable[EngineUse]]
"""Gives what is known of engines now; nothing while it cannot be read, which the calls on the map say."""


def engine_use(source: TelemetrySource) -> EnginesNow:
    """Makes the question. All who look at the map share its answers."""
    known: tuple[int, EngineUse] = (0, EngineUse())

    async def ask(now: int) -> EngineUse:
        nonlocal known
        if now - known[0] >= AGAIN:
            try:
                found, _ = await source.ask(lambda connection: read_engines(connection, now - LATELY, now))
            except ConfigurationError:
                found = EngineUse()
            known = now, found
        return known[1]

    return ask
