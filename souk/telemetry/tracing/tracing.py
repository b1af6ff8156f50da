"""The tracing of one process: a tracer for each of its services, and the exporters behind them.

souk_spans_total{outcome}   spans that were exported, dropped for want of room, failed to be exported, or forgotten
                            by the tail sampler as unsampled
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from souk.kernel.clock import Clock
from souk.telemetry.tracing.batch import BatchSpanProcessor, SpanExporter
from souk.telemetry.tracing.exporters import OfficialExporter
from souk.telemetry.tracing.fan_out import SpanFanOut
from souk.telemetry.tracing.settings import TracingSettings
from souk.telemetry.tracing.span import SpanProcessor
from souk.telemetry.tracing.tail import TailLimits, TailSampler
from souk.telemetry.tracing.tracer import Tracer

LAST_EXPORT = 5.0
"""The most seconds that a process waits at its end for its last spans to be exported."""
_NAME, _HELP = "souk_spans", "Spans by what became of them."


class Tracing(Collector):
    """Records the spans of this process, and hands them to `exporters`. As a collector it counts them.

    Each exporter gets a thread of its own, which ends with `close`.
    """

    def __init__(self, settings: TracingSettings, clock: Clock, exporters: Sequence[SpanExporter]) -> None:
        self._settings, self._clock = settings, clock
        self._batches = [BatchSpanProcessor(one, settings.batch) for one in exporters]
        one = len(self._batches) == 1
        self._processor: SpanProcessor = self._batches[0] if one else SpanFanOut(self._batches)
        limits = TailLimits(slow=settings.slow)
        self._tail = TailSampler(self._processor, clock, limits) if settings.tail else None

    def tracer(self, service: str, *, alone: bool = False) -> Tracer:
        """Makes the tracer of a service; of one that is `alone` in its process, OTEL_SERVICE_NAME is the name."""
        name = (alone and self._settings.service) or service
        return Tracer(name, self._settings.sampler, self._clock, self._processor, self._tail)

    def close(self, limit: float = LAST_EXPORT) -> None:
        """Exports what waits, for `limit` seconds at most for each exporter, and blocks meanwhile."""
        for one in self._batches:
            one.close(limit)

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(_NAME, _HELP, labels=["outcome"])
        for outcome in ("exported", "dropped", "failed"):
            family.add_metric([outcome], sum(getattr(one, outcome) for one in self._batches))
        family.add_metric(["unsampled"], 0 if self._tail is None else self._tail.forgotten)
        yield family

    def describe(self) -> Iterable[Metric]:
        """Names the counter without reading it."""
        yield CounterMetricFamily(_NAME, _HELP, labels=["outcome"])


@asynccontextmanager
async def open_tracing(
    settings: TracingSettings, clock: Clock, about: Mapping[str, str]
) -> AsyncIterator[Tracing | None]:
    """Records spans inside the block, as the settings say; None if there is to be no tracing.

    `about` are attributes of the resource, beside its service's name. Raises ConfigurationError, in one line, when an
    exporter cannot be made.
    """
    if not settings.exporters:
        yield None
        return
    tracing = Tracing(settings, clock, [OfficialExporter(kind, clock, about) for kind in settings.exporters])
    try:
        yield tracing
    finally:
        await asyncio.shield(asyncio.to_thread(tracing.close))
