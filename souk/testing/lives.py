"""Runs one system several times on the same data, each life in a process of its own that may be killed.

    with nursery("my.app") as nursery:
        with nursery.life(data, faults={"some/point": 0}) as life: ...
        with nursery.life(data, later=20.0) as life: ...

A life is forked from a process that has imported everything, so that it starts in a fraction of a second. Its
clock may be `later` seconds ahead of the true one, so that leases of the life before have expired. It loads no
demo data unless it is told to, and is the same system in every other respect.
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
from souk.gateway.limits.limiter import LimitMode
from souk.hosting.monolith import monolith
from souk.kernel.addresses import LOOPBACK
from souk.kernel.clock import MICROSECONDS, SystemClock
from souk.runtime.config import entry_points
from souk.runtime.config.settings import DataSettings, LimitSettings, ListenSettings, ProcessSettings, Settings
from souk.runtime.process.signals import StopSignals, run
from souk.telemetry.logs import LogSettings, configure

START_LIMIT = 120.0
STOP_LIMIT = 120.0


class AheadClock(SystemClock):
    """A clock whose date is `later` seconds ahead of the machine's."""

    def __init__(self, later: float) -> None:
        self._ahead = round(later * MICROSECONDS)

    def now(self) -> int:
        return super().now() + self._ahead


Prelude = Callable[[], None]
"""A function that a life calls first; it must be importable, because the life is another process."""


def _nothing() -> None:
    """Does nothing: the prelude of a life without one."""


def live(settings: Settings, later: float, log: Path, ready: Connection, prelude: Prelude) -> None:
    """Runs in the process of a life: serves the system until it is asked to stop, or dies."""
    with log.open("ab") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    configure(LogSettings(level=settings.log.level))
    prelude()

    async def life(is_up: asyncio.Event, stop: StopSignals) -> None:
        async with monolith(entry_points.app(settings.app), settings, AheadClock(later)) as system:
            is_up.set()
            ready.send(system.url)
            await stop.wait()

    run(life)


class Life:
    """A running system; `url` is that of its gateway."""

    def __init__(self, process: multiprocessing.process.BaseProcess, url: str, log: Path) -> None:
        self._process, self.url, self._log = process, url, log

    @property
    def status(self) -> int | None:
        """Its exit status, None while it runs, negative for a signal."""
        return self._process.exitcode

    def await_end(self) -> int:
        """Waits for its end and returns the exit status; raises AssertionError if it does not end."""
        self._process.join(STOP_LIMIT)
        if self._process.exitcode is None:
            raise AssertionError(f"it did not end within {STOP_LIMIT:g} s\n{self.output()}")
        return self._process.exitcode

    def stop(self) -> int:
        """Sends SIGTERM and returns its exit status."""
        self._send(signal.SIGTERM)
        return self.await_end()

    def kill(self) -> None:
        """Kills it with SIGKILL if it still runs."""
        self._send(signal.SIGKILL)
        self._process.join()

    def output(self) -> str:
        """Returns the end of its log, for the message of a failed test."""
        return self._log.read_text(errors="replace")[-6_000:]

    def _send(self, number: signal.Signals) -> None:
        if self._process.exitcode is None and self._process.pid is not None:
            os.kill(self._process.pid, number)


class Nursery:
    """Starts lives of a system."""

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
        """Starts a system on `data` and waits until it is ready; it is killed at the end if it still runs.

        A life that is armed with `faults` may die before it is ready; then it has no URL.
        """
        settings = Settings(
            demo=demo,
            data=DataSettings(data),
            listen=ListenSettings(LOOPBACK, 0),
            limits=LimitSettings(LimitMode.REPORT),  # crash tests send more than a buyer does
            process=ProcessSettings(faults=faults or {}),
            services=services or {},
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
    """Makes a nursery whose lives have imported the modules of these names, such as the app's."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, *preloaded])
    return Nursery(context)
