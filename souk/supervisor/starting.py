"""How processes start on a machine that has much to do: a few at once, and each as long as it gets on, in limits."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

START_LIMIT = 60.0
"""Seconds without progress after which a process that is not ready is started anew."""
STEP = 0.1
"""Seconds of CPU that are progress; what waits for something in vain uses far less in a minute."""
A_CORE = 3
"""Processes that start at once, for each core: each waits now and then, for a disk or for another."""
LONGEST_TURN = 15.0
"""Seconds after which the next may start beside one that is not ready: it may wait for others."""


@dataclass(slots=True)
class StartProgress:
    """Whether a process that starts gets on: it writes a line, or it works. Pure; `now` is seconds.

    However well it gets on, it may take `longest` seconds: what works for ever is not known from what is slow.
    """

    at: float
    longest: float = inf
    _cpu: float = 0.0
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.at

    def made(self, now: float) -> None:
        """It got on."""
        self.at = now

    def worked(self, cpu: float, now: float) -> None:
        """So many seconds of CPU it has used by now."""
        if cpu >= self._cpu + STEP:
            self._cpu = cpu
            self.made(now)

    def given_up(self, now: float) -> str:
        """Why it is not waited for any longer; empty as long as it is."""
        if now - self.at > START_LIMIT:
            return f"not ready, and no progress for {START_LIMIT:g} s"
        return f"not ready after {self.longest:g} s" if now - self._began > self.longest else ""


class Turns:
    """So many processes start at once: a machine on which all start together may finish none in time."""

    def __init__(self, most: int | None = None) -> None:
        self._free = asyncio.Semaphore(most or A_CORE * len(os.sched_getaffinity(0)))

    async def turn(self) -> Callable[[], None]:
        """Waits for a turn; returns how to give it back, which is also done after a while."""
        await self._free.acquire()
        given_back = False

        def give_back() -> None:
            nonlocal given_back
            if not given_back:
                given_back = True
                later.cancel()
                self._free.release()

        later = asyncio.get_running_loop().call_later(LONGEST_TURN, give_back)
        return give_back
