"""Whether a registry can be reached, and the waits between tries."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

from souk.resilience.backoff import Backoff
from souk.telemetry.logs import logger

_log = logger("discovery")

QUICK = Backoff(initial=0.05, cap=0.5)
"""A registry that comes back is found before the grace that it gives is over."""


class Availability:
    """What one adapter's streams and polls have learned of their registry.

    `expected` are the errors by which an adapter sees that the registry is away; any other is told in
    the log as well, for it is a mistake somewhere. `line` says what an error means.
    """

    def __init__(
        self,
        expected: tuple[type[Exception], ...],
        line: Callable[[Exception], str] = str,
        backoff: Backoff = QUICK,
    ) -> None:
        self.away = ""
        self._expected = expected
        self._line = line
        self._backoff = backoff
        self._random = Random()
        self._finds = 0

    def found(self) -> None:
        """The registry has answered."""
        self.away = ""
        self._finds += 1

    def lost(self, error: Exception) -> None:
        """The registry has not answered."""
        self.away = " ".join(self._line(error).split())[:200] or type(error).__name__
        if not isinstance(error, self._expected):
            _log.error("discovery failed unexpectedly", exc_info=error)

    async def keep(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """Runs `attempt` until it returns: again with back-off whenever it fails."""
        tries = 0
        while True:
            finds = self._finds
            try:
                return await attempt()
            except Exception as error:
                self.lost(error)
            tries = 1 if self._finds != finds else tries + 1
            await asyncio.sleep(self._backoff.delay(tries, self._random))
