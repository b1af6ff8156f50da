"""Hands things to an exporter in batches, from a thread of its own, so that no request ever waits for one."""

import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from souk.telemetry.logs import logger

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

_log = logger("telemetry")


class Exporter(Protocol[T_contra]):
    """Sends spans, or log records, to where they are kept. Both methods are called by one thread, and may block.

    OpenTelemetry's own exporters stand behind one; a store of this process's can be another.
    """

    def export(self, batch: Sequence[T_contra], /) -> bool:
        """Sends what is in a batch; returns whether it has arrived. May raise."""
        ...

    def shutdown(self) -> None:
        """Gives up what is still being tried. May be called by another thread, while `export` runs."""
        ...


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """The limits of OTEL_BSP_* and OTEL_BLRP_*: what waits at most, what is in one batch, and seconds between two."""

    queue: int = 2_048
    batch: int = 512
    delay: float = 5.0


class Batches(Generic[T]):
    """Queues things for one exporter; what finds the queue full is dropped, and counted. `what` names them in the log.

    `exported`, `dropped` and `failed` count those that have arrived, those that found no room or were left at the end,
    and those that the exporter could not deliver.
    """

    def __init__(self, exporter: Exporter[T], limits: BatchLimits, what: str) -> None:
        self.exported = self.dropped = self.failed = 0
        self._exporter, self._limits, self._what = exporter, limits, what
        self._queue: deque[T] = deque()
        self._room, self._batch = limits.queue, min(limits.batch, limits.queue)
        self._wake = threading.Event()
        self._closed = False
        self._works = True
        self.thread = threading.Thread(target=self._run, name=f"exporter of {what}", daemon=True)
        self.thread.start()

    def put(self, one: T) -> None:
        """Queues one, if there is room."""
        waiting = len(self._queue)
        if waiting >= self._room or self._closed:
            self.dropped += 1
            return
        self._queue.append(one)
        if waiting + 1 == self._batch:
            self._wake.set()

    def close(self, limit: float) -> None:
        """Exports what waits, for `limit` seconds at most, and blocks meanwhile; what is left is dropped."""
        self._closed = True
        self._wake.set()
        self.thread.join(limit)
        if self.thread.is_alive():
            self.dropped += len(self._queue)
            self._queue.clear()
            with suppress(Exception):  # it is given up either way
                self._exporter.shutdown()
            _log.warning(f"{self._what} could not be exported before the process stopped", dropped=self.dropped)

    def _run(self) -> None:
        while not self._closed:
            self._wake.wait(self._limits.delay)
            self._wake.clear()
            while self._queue:
                self._export()
        with suppress(Exception):
            self._exporter.shutdown()

    def _export(self) -> None:
        queue = self._queue
        batch = [queue.popleft() for _ in range(min(len(queue), self._batch))]
        try:
            arrived = self._exporter.export(batch)
        except Exception as error:
            arrived = False
            _log.debug(f"an exporter of {self._what} failed", error=type(error).__name__)
        if arrived:
            self.exported += len(batch)
        else:
            self.failed += len(batch)
        if arrived != self._works:
            self._works = arrived
            (_log.info if arrived else _log.warning)(
                f"{self._what} arrive again" if arrived else f"{self._what} cannot be exported"
            )
