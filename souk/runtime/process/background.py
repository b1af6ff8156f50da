"""Background tasks: each is started again, with back-off, when it fails."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from souk.kernel.clock import Clock
from souk.kernel.errors import StoreUnavailable
from souk.resilience.backoff import Backoff
from souk.telemetry.logs import logger

Work = Callable[[], Awaitable[None]]

FIRST_DELAY = 0.1
LONGEST_DELAY = 30.0


class BackgroundTasks:
    """Runs background work, and starts it again, with back-off, when it fails. Delays are seconds.

    Work that returns has ended. Work that ran for longer than `longest_delay` before it failed starts again after
    `first_delay`.
    """

    def __init__(self, clock: Clock, first_delay: float = FIRST_DELAY, longest_delay: float = LONGEST_DELAY) -> None:
        self._clock = clock
        self._backoff = Backoff(first_delay, longest_delay, jitter=0.0)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._log = logger("supervisor")

    def start(self, name: str, work: Work) -> None:
        """Runs `work` from now on. Raises ValueError if there is a task of this name already."""
        if name in self._tasks:
            raise ValueError(f"there is a task {name!r} already")
        self._tasks[name] = asyncio.create_task(self._watch(name, work), name=name)

    async def _watch(self, name: str, work: Work) -> None:
        failures = 0
        while True:
            began = self._clock.monotonic()
            try:
                await work()
            except Exception as error:
                ran_well = self._clock.monotonic() - began > self._backoff.cap
                failures = 1 if ran_well else failures + 1
                delay = self._backoff.longest(failures)
                self._log_failure(name, error, delay)
            else:
                return
            await asyncio.sleep(delay)

    def _log_failure(self, name: str, error: Exception, delay: float) -> None:
        if isinstance(error, StoreUnavailable):
            # Without a traceback: it would say nothing, and every task of every process logs this.
            self._log.warning(
                "background work waits for its database", task=name, error=str(error), again_in_seconds=delay
            )
        else:
            self._log.exception("background work failed", task=name, again_in_seconds=delay)

    async def stop(self) -> None:
        """Cancels all tasks and waits until they have ended."""
        tasks, self._tasks = self._tasks, {}
        for task in tasks.values():
            task.cancel()
        for name, ended in zip(tasks, await asyncio.gather(*tasks.values(), return_exceptions=True), strict=True):
            if isinstance(ended, Exception):
                self._log.error("background work did not stop well", task=name, error=repr(ended))


@asynccontextmanager
async def supervised(clock: Clock) -> AsyncIterator[BackgroundTasks]:
    """Gives background tasks that are stopped when the block ends."""
    background = BackgroundTasks(clock)
    try:
        yield background
    finally:
        await background.stop()
