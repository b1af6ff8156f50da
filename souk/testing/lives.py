"""Lives of one system, one after the other on the same data, each in a process of its own that may die.

    with nursery("my.app") as nursery:
        with nursery.life(data, faults={"some/point": 0}) as life: ...
        with nursery.life(data, later=20.0) as life: ...

A life is forked from a process that has imported everything, so that it is up in a fraction of a
second. Its clock may run `later` than the true one: then leases of the life before are over at once.
It loads no demo data, and is the same system in every other respect.
"""

import asyncio
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path

from souk.faults import EXIT_STATUS
from souk.hosting.monolith import monolith
from souk.kernel.clock import MICROSECONDS, SystemClock
from souk.runtime.config import entry_points
from souk.runtime.config.settings import Settings
from souk.runtime.process.signals import StopSignals, run
from souk.telemetry.logs import LogSettings, configure

START_LIMIT = 30.0
STOP_LIMIT = 30.0


class AheadClock(SystemClock):
    """The machine's clock, `later` seconds ahead in telling the date."""

    def __init__(self, later: float) -> None:
        self._ahead = round(later * MICROSECONDS)

    def now(self) -> int:
        return super().now() + self._ahead


Prelude = Callable[[], None]
"""What a life does first of all: a function of a module, which can be imported there."""


def _nothing() -> None:
    """A life like any other."""


def live(settings: Settings, later: float, log: Path, ready: Connection, prelude: Prelude) -> None:
    """What the process of a life does: serves until it is asked to stop, or dies."""
    with log.open("ab") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    configure(LogSettings(level=settings.log_level))
    prelude()

    async def life(is_up: asyncio.Event, stop: StopSignals) -> None:
        async with monolith(entry_points.app(settings.app), settings, AheadClock(later)) as system:
            is_up.set()
            ready.send(system.url)
            await stop.wait()

    run(life)


class Life:
    """A running system; `url` is where its gateway answers."""

    def __init__(self, process: multiprocessing.process.BaseProcess, url: str, log: Path) -> None:
        self._process, self.url, self._log = process, url, log

    @property
    def status(self) -> int | None:
        """Its exit status, once it has one; that of a signal is negative."""
        return self._process.exitcode

    def await_end(self) -> int:
        """Its exit status; raises AssertionError when it goes on living."""
        self._process.join(STOP_LIMIT)
        if self._process.exitcode is None:
            raise AssertionError(f"it did not end within {STOP_LIMIT:g} s\n{self.output()}")
        return self._process.exitcode

    def stop(self) -> int:
        """SIGTERM; its exit status."""
        self._send(signal.SIGTERM)
        return self.await_end()

    def kill(self) -> None:
        """`kill -9`, if it still lives."""
        self._send(signal.SIGKILL)
        self._process.join()

    def output(self) -> str:
        """What it logged, for a failed test to show."""
        return self._log.read_text(errors="replace")[-6_000:]

    def _send(self, number: signal.Signals) -> None:
        if self._process.exitcode is None and self._process.pid is not None:
            os.kill(self._process.pid, number)


class Nursery:
    """Starts lives."""

    def __init__(self, context: ForkServerContext) -> None:
        self._context = context

    @contextmanager
    def life(
        self,
        data: Path,
        *,
        faults: Mapping[str, int] | None = None,
        later: float = 0.0,
        services: Mapping[str, Mapping[str, str]] | None = None,
        demo: bool = False,
        prelude: Prelude = _nothing,
    ) -> Iterator[Life]:
        """A system on `data`, ready; killed at the end, if it still lives.

        One that is armed with `faults` may have died before it was ready; then it has no URL.
        """
        settings = Settings(
            data=data, host="127.0.0.1", port=0, demo=demo, faults=faults or {}, services=services or {}
        )
        log = data.parent / f"{data.name}.log"
        ear, mouth = self._context.Pipe(duplex=False)
        process = self._context.Process(target=live, args=(settings, later, log, mouth, prelude))
        process.start()
        mouth.close()
        life = Life(process, "", log)
        try:
            life.url = _ready_url(ear, life, armed=bool(faults))
            yield life
        finally:
            life.kill()
            ear.close()
            process.close()


def _ready_url(ear: Connection, life: Life, *, armed: bool) -> str:
    try:
        if ear.poll(START_LIMIT):
            return str(ear.recv())
    except EOFError:
        if life.await_end() == EXIT_STATUS and armed:
            return ""
    raise AssertionError(f"it did not come up\n{life.output()}")


def nursery(*preloaded: str) -> Nursery:
    """One for this process; imports the modules of these names, such as the app's, ahead of every life."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, *preloaded])
    return Nursery(context)
