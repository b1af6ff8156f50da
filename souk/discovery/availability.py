"""Tracks whether a registry can be reached, and waits between tries."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

from souk.resilience.backoff import Backoff
from souk.telemetry.logs import logger

_log = logger("discovery")

QUICK = Backoff(initial=0.05, cap=0.5)
"""Short enough that a client finds a registry that has restarted before the registry's grace is over."""


class Availability:
    """Whether one adapter's registry can be reached, as its streams and polls find.

    `away` says why the registry cannot be reached; it is empty when it can. `expected` are the errors that
    mean that the registry is away; any other error is a bug, and is logged with its trace. `line` turns an
    error into one line of text.
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
        """Notes that the registry has answered."""
        self.away = ""
        self._finds += 1

    def lost(self, error: Exception) -> None:
        """Notes that the registry has not answered, and why."""
        self.away = " ".join(self._line(error).split())[:200] or type(error).__name__
        if not isinstance(error, self._expected):
            _log.error("discovery failed unexpectedly", exc_info=error)

    async def keep(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """Runs `attempt` until it returns; after a failure it runs it again, with back-off."""
        tries = 0
        while True:
            finds = self._finds
            try:
                return await attempt()
            except Exception as error:
                self.lost(error)
            tries = 1 if self._finds != finds else tries + 1
            await asyncio.sleep(self._backoff.delay(tries, self._random))
