"""How a process lives and ends: signals, and background work that is watched.

The first SIGTERM, SIGINT or SIGHUP asks to stop: what runs is finished. The second insists: the process
ends at once, which is safe, as everything that matters is on disk before it is answered.
"""

import asyncio
import gc
import os
import signal
from collections.abc import Awaitable, Callable

import uvloop

from souk.runtime.process.open_files import raise_limit

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
