"""Runs a process until it ends or a signal stops it.

The first SIGTERM, SIGINT or SIGHUP asks the process to stop: running work is finished. The second ends it
at once, which is safe, because everything that matters is on disk before it is answered.

Without a terminal, SIGHUP may mean something else (`StopSignals.on_hangup`), as with other servers: there it cannot
mean that the terminal is gone.
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
    """Turns signals into a request to stop. The second signal calls `leave` with its number."""

    def __init__(self, leave: Callable[[int], None] = _leave) -> None:
        self._asked = asyncio.Event()
        self._leave = leave

    def install(self) -> None:
        """Installs handlers of the signals; the event loop must be running."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as with nohup(1)
                loop.add_signal_handler(number, self.ask, number)

    def on_hangup(self, call: Callable[[], object]) -> None:
        """From now on SIGHUP calls `call` and stops nothing, unless the process has a terminal, or ignores it."""
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and not has_terminal():
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, call)

    def ask(self, number: int) -> None:
        """Asks to stop; if that was asked already, calls `leave`."""
        if self._asked.is_set():
            self._leave(number)
        self._asked.set()

    async def wait(self) -> None:
        """Returns once a stop was asked for."""
        await self._asked.wait()


def has_terminal() -> bool:
    """Whether this process has a controlling terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


async def live(life: Callable[[asyncio.Event], Awaitable[None]], stop: StopSignals) -> None:
    """Runs `life` until it ends by itself or a stop is asked for.

    `life` gets an event to set once the process is up. A stop before that cancels `life`; after that `life` must
    wait for `stop` itself.
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


async def _settling(life: Callable[[], Awaitable[None]], up: asyncio.Event) -> None:
    """Runs `life`; once it is up, what it has made by then is never looked through for garbage again: that would hold
    up the requests of that moment, and find nothing."""

    async def settle() -> None:
        await up.wait()
        gc.collect()
        gc.freeze()

    settling = asyncio.ensure_future(settle())
    try:
        await life()
    finally:
        settling.cancel()


PRIVATE = 0o077
COLLECT = (20_000, 20, 100)
"""How often garbage is collected (`gc.set_threshold`). With Python's default, every 700 objects, an order took
3 to 15 % more CPU in three paired runs."""


def run(life: Callable[[asyncio.Event, StopSignals], Awaitable[None]], leave: Callable[[int], None] = _leave) -> None:
    """Runs `life` on an event loop of its own, with handlers of the signals; see `live`.

    The second signal calls `leave`, which ends the process at once.
    """

    async def begin() -> None:
        stop = StopSignals(leave)
        stop.install()
        await live(lambda up: _settling(lambda: life(up, stop), up), stop)

    # Only its user may read the files that a serving process writes, whatever the shell's umask is.
    os.umask(PRIVATE)
    raise_limit()
    gc.freeze()
    gc.set_threshold(*COLLECT)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(begin())
