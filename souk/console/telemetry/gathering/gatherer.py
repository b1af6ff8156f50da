"""Gathers: a task for each process, so that one which hangs holds up no other, and one that writes.

What cannot be written waits here, to a limit; then nothing more is read, and the rings of the processes push out what
is oldest, and count it. So a disk that is full, or that hangs, costs no more than spans.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

import grpc.aio
from soukapi.v1 import fleet_pb2_grpc

from souk.admin.client import PATIENCE, connection
from souk.console.telemetry.gathering.process_reader import ProcessReader
from souk.console.telemetry.gathering.system_processes import ProcessSocket
from souk.console.telemetry.store.records import TelemetryBatch
from souk.console.telemetry.store.state import Condition, TelemetryState
from souk.console.telemetry.store.telemetry_store import TelemetryStore
from souk.kernel.clock import MICROSECONDS, Clock
from souk.runtime.process.background import supervised
from souk.telemetry.logs import logger

EVERY = 1.0
"""Seconds between two reads of a process, and between two writes."""
FIGURES_EVERY = 5
"""Reads of figures: with every fifth read of spans."""
LIST_EVERY = 5.0
"""Seconds between two looks at which processes there are."""
MOST_WAITING, MOST_SCRAPES = 20_000, 200
"""Spans, and readings of figures, that wait to be written at most; then nothing more is read."""
HANGS = 5 * MICROSECONDS
"""Microseconds after which a write that has not ended is said to hang."""
ALONE = "This gateway was started alone, and no supervisor names the processes to it: nothing is gathered."
_log = logger("console")


class Processes(Protocol):
    """The processes of the system."""

    async def sockets(self) -> Mapping[str, ProcessSocket]:
        """Lists those that give spans and figures, by name. Raises AioRpcError."""
        ...

    def run(self) -> str:
        """Tells one start of the system from others. Raises OSError while it cannot be told."""
        ...


class Gatherer:
    """Gathers for `store` from `processes`, until `run` is cancelled. `every` is in seconds.

    `known` are positions that were read before, by ring.
    """

    def __init__(
        self,
        store: TelemetryStore,
        processes: Processes,
        clock: Clock,
        known: Mapping[str, int] | None = None,
        every: float = EVERY,
    ) -> None:
        self._store, self._processes, self._clock, self._every = store, processes, clock, every
        self._known = known or {}
        self._batch = TelemetryBatch()
        self._writing_since = 0
        self._alone = False
        self._tasks: dict[ProcessSocket, asyncio.Task[None]] = {}

    @property
    def read(self) -> Sequence[ProcessSocket]:
        """The processes that are read now."""
        return tuple(self._tasks)

    @property
    def state(self) -> TelemetryState:
        """How gathering does now."""
        state = replace(self._store.state, waiting=len(self._batch.spans))
        since, now = self._writing_since, self._clock.now()
        if since and now - since > HANGS:
            words = "The disk that holds the console's data does not answer. Nothing is kept meanwhile."
            return replace(state, condition=Condition.AWAY, words=words, since=since, at=now)
        if self._alone:
            return replace(state, condition=Condition.AWAY, words=ALONE, at=now)
        return state

    async def run(self) -> None:
        """Gathers until it is cancelled."""
        try:
            async with supervised(self._clock) as background:
                background.start("processes of the console", self._list)
                background.start("data of the console", self._write)
                await asyncio.Event().wait()
        finally:
            await self._end(list(self._tasks))

    async def _list(self) -> None:
        while True:
            with suppress(grpc.aio.AioRpcError):  # it starts, ends, or is busy: it is asked again
                found = await self._processes.sockets()
                await self._end([socket for socket in self._tasks if found.get(socket.process) != socket])
                for socket in found.values():
                    if socket not in self._tasks:
                        self._tasks[socket] = asyncio.create_task(self._follow(socket), name=f"reads {socket.process}")
            await asyncio.sleep(LIST_EVERY * self._every)

    async def _end(self, sockets: list[ProcessSocket]) -> None:
        tasks = [self._tasks.pop(socket) for socket in sockets]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, socket: ProcessSocket) -> None:
        reader, failures, turn = ProcessReader(socket.process, socket.service, self._clock, self._known), 0, 0
        async with connection(socket.path) as channel:
            stub = fleet_pb2_grpc.ProcessStub(channel)
            while True:
                try:
                    if self._has_room:
                        await self._read(reader, stub, figures=turn % FIGURES_EVERY == 0)
                        failures, turn = 0, turn + 1
                except (grpc.aio.AioRpcError, TimeoutError) as error:
                    failures += 1
                    if failures == 1:
                        _log.debug("a process does not answer", process=socket.process, error=type(error).__name__)
                except Exception:
                    failures += 1
                    _log.exception("what a process has answered could not be used", process=socket.process)
                await asyncio.sleep(self._every * min(1 + failures, 10))

    async def _read(self, reader: ProcessReader, stub: "fleet_pb2_grpc.ProcessAsyncStub", *, figures: bool) -> None:
        # Into a batch of its own: while an answer is awaited, the one that waits may be written, and another begun.
        found = TelemetryBatch()
        try:
            async with asyncio.timeout(PATIENCE):
                await reader.read_spans(stub, found)
                if figures:
                    await reader.read_figures(stub, found)
        finally:
            self._batch.add(found)

    @property
    def _has_room(self) -> bool:
        return len(self._batch.spans) < MOST_WAITING and len(self._batch.scrapes) < MOST_SCRAPES

    async def _write(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            try:
                run = self._processes.run()
            except OSError:  # the socket of the system is not there yet, or any more
                self._alone = True
            else:
                self._alone = False
                await self._write_once(run)

    async def _write_once(self, run: str) -> None:
        batch, self._batch = self._batch, TelemetryBatch()
        self._writing_since = self._clock.now()
        written = False
        try:
            written = await self._store.write(batch, run)
        finally:
            self._writing_since = 0
            if not written:  # what came meanwhile is written with it, the next time
                batch.add(self._batch)
                self._batch = batch
