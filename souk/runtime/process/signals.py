"""How a process lives and ends: signals, and background work that is watched.

The first SIGTERM, SIGINT or SIGHUP asks to stop: what runs is finished. The second insists: the process
ends at once, which is safe, as everything that matters is on disk before it is answered.
"""

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import uvloop

from souk.kernel.clock import Clock
from souk.kernel.errors import StoreUnavailable
from souk.runtime.process.open_files import raise_limit
from souk.telemetry.logs import logger

Work = Callable[[], Awaitable[None]]

FIRST_DELAY = 0.1
LONGEST_DELAY = 30.0
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def _leave(number: int) -> None:
    os._exit(128 + number)


class StopSignals:
    """Turns signals into a wish to stop."""

    def __init__(self, leave: Callable[[int], None] = _leave) -> None:
        self._asked = asyncio.Event()
        self._leave = leave

    def install(self) -> None:
        """Takes the signals over; the event loop must be running."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as with nohup(1)
                loop.add_signal_handler(number, self.ask, number)

    def ask(self, number: int) -> None:
        """What a signal does."""
        if self._asked.is_set():
            self._leave(number)
        self._asked.set()

    async def wait(self) -> None:
        """Returns once somebody asked to stop."""
        await self._asked.wait()


class Supervisor:
    """Runs background work, and starts again, with back-off, what fails.

    Work that returns has ended. Work that ran for longer than the longest delay before it failed
    starts again without much delay.
    """

    def __init__(self, clock: Clock, first_delay: float = FIRST_DELAY, longest_delay: float = LONGEST_DELAY) -> None:
        self._clock = clock
        self._first, self._longest = first_delay, longest_delay
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._log = logger("supervisor")

    def start(self, name: str, work: Work) -> None:
        """Runs `work` from now on; its name must be its own."""
        if name in self._tasks:
            raise ValueError(f"there is a task {name!r} already")
        self._tasks[name] = asyncio.create_task(self._watch(name, work), name=name)

    async def _watch(self, name: str, work: Work) -> None:
        delay = self._first
        while True:
            began = self._clock.monotonic()
            try:
                await work()
            except Exception as error:
                if self._clock.monotonic() - began > self._longest:
                    delay = self._first
                self._tell(name, error, delay)
            else:
                return
            await asyncio.sleep(delay)
            delay = min(delay * 2, self._longest)

    def _tell(self, name: str, error: Exception, delay: float) -> None:
        if isinstance(error, StoreUnavailable):
            # Where in the code that was met says nothing, and every task of every process meets it.
            self._log.warning(
                "background work waits for its database", task=name, error=str(error), again_in_seconds=delay
            )
        else:
            self._log.exception("background work failed", task=name, again_in_seconds=delay)

    async def stop(self) -> None:
        """Cancels everything and waits until it has ended."""
        tasks, self._tasks = self._tasks, {}
        for task in tasks.values():
            task.cancel()
        for name, ended in zip(tasks, await asyncio.gather(*tasks.values(), return_exceptions=True), strict=True):
            if isinstance(ended, Exception):
                self._log.error("background work did not stop well", task=name, error=repr(ended))


@asynccontextmanager
async def supervised(clock: Clock) -> AsyncIterator[Supervisor]:
    """A supervisor that stops with the block."""
    supervisor = Supervisor(clock)
    try:
        yield supervisor
    finally:
        await supervisor.stop()


async def live(life: Callable[[asyncio.Event], Awaitable[None]], stop: StopSignals) -> None:
    """Runs a process's life until it ends by itself or somebody asks it to stop.

    `life` gets an event to set once it is up. Asked to stop before that, it is cancelled; from then
    on it must wait for `stop` itself.
    """
    up = asyncio.Event()
    living = asyncio.ensure_future(life(up))
    asking = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({living, asking}, return_when=asyncio.FIRST_COMPLETED)
        if not living.done() and not up.is_set():
            living.cancel()
        await asyncio.gather(living, return_exceptions=True)
        if not living.cancelled():
            living.result()
    finally:
        asking.cancel()


PRIVATE = 0o077
COLLECT = (20_000, 20, 100)
"""When garbage is looked for (`gc.set_threshold`). Python's default, every 700 objects, cost an order
3 to 15 % more CPU in three paired runs."""


def run(life: Callable[[asyncio.Event, StopSignals], Awaitable[None]], leave: Callable[[int], None] = _leave) -> None:
    """Runs a process's life on an event loop of its own, with the signals taken over; see `live`.

    `leave` ends the process at once, when a second signal insists.
    """

    async def begin() -> None:
        stop = StopSignals(leave)
        stop.install()
        await live(lambda up: life(up, stop), stop)

    # What a process that serves writes is for its user alone, whatever the shell says.
    os.umask(PRIVATE)
    raise_limit()
    gc.freeze()
    gc.set_threshold(*COLLECT)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(begin())
