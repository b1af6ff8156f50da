"""Hands spans to an exporter in batches, from a thread of its own, so that no request ever waits for one."""

import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from souk.telemetry.logs import logger
from souk.telemetry.tracing.span import Span

_log = logger("tracing")


class SpanExporter(Protocol):
    """Sends spans to where they are kept. Both methods are called by one thread, and may block.

    OpenTelemetry's own exporters stand behind one; a store of this process's can be another.
    """

    def export(self, spans: Sequence[Span]) -> bool:
        """Sends spans that have ended, of several services; returns whether they have arrived. May raise."""
        ...

    def shutdown(self) -> None:
        """Gives up what is still being tried. May be called by another thread, while `export` runs."""
        ...


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """The limits of OTEL_BSP_*: spans that wait at most, spans in one batch, and seconds between two batches."""

    queue: int = 2_048
    batch: int = 512
    delay: float = 5.0


class BatchSpanProcessor:
    """Queues spans that have ended for one exporter; what finds the queue full is dropped, and counted.

    `exported`, `dropped` and `failed` count spans: those that have arrived, those that found no room or were left at
    the end, and those that the exporter could not deliver.
    """

    def __init__(self, exporter: SpanExporter, limits: BatchLimits | None = None) -> None:
        self.exported = self.dropped = self.failed = 0
        self._exporter, self._limits = exporter, limits or BatchLimits()
        self._queue: deque[Span] = deque()
        self._room, self._batch = self._limits.queue, min(self._limits.batch, self._limits.queue)
        self._wake = threading.Event()
        self._closed = False
        self._works = True
        self._thread = threading.Thread(target=self._run, name="span exporter", daemon=True)
        self._thread.start()

    def on_start(self, span: Span) -> None:
        """Does nothing: only spans that have ended are exported."""

    def on_end(self, span: Span) -> None:
        """Queues a span, if there is room."""
        waiting = len(self._queue)
        if waiting >= self._room or self._closed:
            self.dropped += 1
            return
        self._queue.append(span)
        if waiting + 1 == self._batch:
            self._wake.set()

    def close(self, limit: float) -> None:
        """Exports what waits, for `limit` seconds at most, and blocks meanwhile; what is left is dropped."""
        self._closed = True
        self._wake.set()
        self._thread.join(limit)
        if self._thread.is_alive():
            self.dropped += len(self._queue)
            self._queue.clear()
            with suppress(Exception):  # it is given up either way
                self._exporter.shutdown()
            _log.warning("spans could not be exported before the process stopped", spans=self.dropped)

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
            _log.debug("an exporter of spans failed", error=type(error).__name__)
        if arrived:
            self.exported += len(batch)
        else:
            self.failed += len(batch)
        if arrived != self._works:
            self._works = arrived
            (_log.info if arrived else _log.warning)("spans arrive again" if arrived else "spans cannot be exported")
