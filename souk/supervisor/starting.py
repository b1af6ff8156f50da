"""How processes start on a busy machine: a few at once, and each for as long as it makes progress, up to a limit."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

START_LIMIT = 60.0
"""Seconds without progress after which a process that is not ready is started anew."""
STEP = 0.1
"""Seconds of CPU that count as progress; a process that waits in vain uses far less in a minute."""
A_CORE = 3
"""Processes that start at once, for each core: each waits at times, for a disk or for another process."""
LONGEST_TURN = 15.0
"""Seconds after which another may start although this one is not ready: it may be waiting for that other."""


@dataclass(slots=True)
class StartProgress:
    """Whether a starting process makes progress: it writes a line, or uses CPU. Pure; `now` is in seconds.

    Even with progress it may take at most `longest` seconds: one that works for ever looks like one that is slow.
    """

    at: float
    longest: float = inf
    _cpu: float = 0.0
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.at

    def made(self, now: float) -> None:
        """Notes progress."""
        self.at = now

    def worked(self, cpu: float, now: float) -> None:
        """Notes the seconds of CPU that the process has used so far; STEP more of them are progress."""
        if cpu >= self._cpu + STEP:
            self._cpu = cpu
            self.made(now)

    def given_up(self, now: float) -> str:
        """Gives the reason why the start is given up; "" while it is not."""
        if now - self.at > START_LIMIT:
            return f"not ready, and no progress for {START_LIMIT:g} s"
        return f"not ready after {self.longest:g} s" if now - self._began > self.longest else ""


class Turns:
    """Limits how many processes start at once: if all start together, a machine may finish none in time."""

    def __init__(self, most: int | None = None) -> None:
        self._free = asyncio.Semaphore(most or A_CORE * len(os.sched_getaffinity(0)))

    async def turn(self) -> Callable[[], None]:
        """Waits for a turn; returns the function that gives it back, which also happens after LONGEST_TURN seconds."""
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
