"""Opens the console's data in a gateway: of several gateways one gathers, and any may read.

The one that gathers holds a lock on the folder, which the kernel takes from it when it dies; then another takes over.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from souk.console.telemetry.gathering.gatherer import Gatherer
from souk.console.telemetry.gathering.system_processes import SystemProcesses
from souk.console.telemetry.store.state import Condition, TelemetryState, read_state
from souk.console.telemetry.store.telemetry_file import FILE
from souk.console.telemetry.store.telemetry_store import TelemetryStore
from souk.kernel.clock import MICROSECONDS, Clock
from souk.kernel.errors import ConfigurationError
from souk.runtime.config.console import ConsoleSettings
from souk.runtime.data.directory import make
from souk.runtime.process.background import supervised
from souk.store.sqlite.directory_lock import DirectoryLock, lock_directory

FOLDER = "console"
TRY_EVERY = 2.0
"""Seconds between two tries to become the one that gathers."""
SILENT = 15 * MICROSECONDS
"""Microseconds after which a gatherer that has written nothing is said to be away."""


def folder_of(data: Path) -> Path:
    """The folder of the console's data, below a data directory."""
    return data / FOLDER


@dataclass(slots=True)
class Telemetry:
    """The console's data of one system, for a gateway: the file to read, and how gathering does.

    `gatherer` is there while this process gathers; `why` says why no process of this kind can.
    """

    folder: Path
    clock: Clock
    gatherer: Gatherer | None = field(default=None, repr=False)
    why: str = ""

    @property
    def file(self) -> Path:
        """The file to read."""
        return self.folder / FILE

    def state(self) -> TelemetryState:
        """How gathering does: as this process knows if it gathers, otherwise as the one that does has said last."""
        if self.gatherer is not None:
            return self.gatherer.state
        if self.why:
            return TelemetryState(Condition.AWAY, self.why, at=self.clock.now())
        return state_of(self.folder, self.clock.now())


def state_of(folder: Path, now: int) -> TelemetryState:
    """How gathering does, as the process that gathers has said last."""
    found = read_state(folder)
    if found is None:
        return TelemetryState(
            Condition.AWAY, "Nothing gathers for the console: no gateway of this system has begun.", at=now
        )
    if now - found.at > SILENT:
        seconds = (now - found.at) // MICROSECONDS
        words = f"Nothing has been gathered for {seconds} seconds: no gateway runs, or its disk hangs."
        return TelemetryState(Condition.AWAY, words, found.note, found.at, now, found.gatherer)
    return found


@asynccontextmanager
async def gathering(
    data: Path, settings: ConsoleSettings, clock: Clock, process: str, every: float = 1.0
) -> AsyncIterator[Telemetry]:
    """Gathers the console's data of the system on a data directory inside the block, unless another process does.

    `process` is the name of this one. What is wrong with the folder or the file stops nothing, and is in the state.
    """
    processes = SystemProcesses.of(data)
    telemetry = Telemetry(folder_of(processes.layout.data), clock)

    async def work() -> None:
        await _gather_when_free(telemetry, processes, settings, process, every)

    async with supervised(clock) as background:
        background.start("console", work)
        yield telemetry


async def _gather_when_free(
    telemetry: Telemetry, processes: SystemProcesses, settings: ConsoleSettings, process: str, every: float
) -> None:
    lock = await _locked(telemetry, every)
    store = TelemetryStore(telemetry.folder, settings, telemetry.clock, process)
    try:
        known = await store.positions()
        telemetry.gatherer = gatherer = Gatherer(store, processes, telemetry.clock, known, every)
        await gatherer.run()
    finally:
        telemetry.gatherer = None
        await store.close()
        lock.release()


async def _locked(telemetry: Telemetry, every: float) -> DirectoryLock:
    while True:
        try:
            make(telemetry.folder)
        except ConfigurationError as error:
            telemetry.why = f"The console cannot keep anything: {error}."
        else:
            telemetry.why = ""
            with suppress(ConfigurationError):  # another gateway gathers
                return lock_directory(telemetry.folder)
        await asyncio.sleep(TRY_EVERY * every)
