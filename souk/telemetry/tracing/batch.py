"""Hands spans to an exporter in batches, from a thread of its own."""

from typing import Protocol

from souk.telemetry.batches import Batches, BatchLimits, Exporter
from souk.telemetry.tracing.span import Span


class SpanExporter(Exporter[Span], Protocol):
    """Sends spans that have ended, of several services, to where they are kept."""


class BatchSpanProcessor(Batches[Span]):
    """Queues spans that have ended for one exporter."""

    def __init__(self, exporter: SpanExporter, limits: BatchLimits | None = None) -> None:
        super().__init__(exporter, limits or BatchLimits(), "spans")

    def on_start(self, span: Span) -> None:
        """Does nothing: only spans that have ended are exported."""

    on_end = Batches.put
