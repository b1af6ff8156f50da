"""The tracing of one process: a tracer for each of its services, and the exporters behind them.

souk_spans_total{outcome}   spans that were exported, dropped for want of room, failed to be exported, or forgotten
                            by the tail sampler as unsampled, or not recorded, as their traces were left out
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from souk.kernel.clock import Clock
from souk.telemetry.tracing.batch import BatchSpanProcessor, SpanExporter
from souk.telemetry.tracing.exporters import OfficialExporter
from souk.telemetry.tracing.fan_out import SpanFanOut
from souk.telemetry.tracing.ring import SpanRing
from souk.telemetry.tracing.sampling import AtMostASecond, HeadSampler, always_on
from souk.telemetry.tracing.settings import TracingSettings
from souk.telemetry.tracing.share import TailShare
from souk.telemetry.tracing.span import SpanProcessor
from souk.telemetry.tracing.tail import TailLimits, TailSampler
from souk.telemetry.tracing.tracer import Tracer

LAST_EXPORT = 5.0
"""The most seconds that a process waits at its end for its last spans to be exported."""
_NAME, _HELP = "souk_spans", "Spans by what became of them."


@dataclass(frozen=True, slots=True)
class KeptSpans:
    """What a process keeps of its spans in memory: of `traces` new traces a second, where no sampler is set and nothing
    is exported, of those not taken in the `saved` seconds before, and of what the tail keeps."""

    traces: int = 5
    saved: float = 20.0


class Tracing(Collector):
    """Records the spans of this process, and hands them to `exporters` and to `ring`. As a collector it counts them.

    Each exporter gets a thread of its own, which ends with `close`. `sampler` decides at the head.
    """

    def __init__(
        self,
        settings: TracingSettings,
        clock: Clock,
        exporters: Sequence[SpanExporter],
        sampler: HeadSampler,
        ring: SpanRing | None = None,
    ) -> None:
        self.ring = ring
        self._settings, self._clock, self._sampler = settings, clock, sampler
        self._batches = [BatchSpanProcessor(one, settings.batch) for one in exporters]
        every: list[SpanProcessor] = [*self._batches, *(() if ring is None else (ring,))]
        self._processor: SpanProcessor = every[0] if len(every) == 1 else SpanFanOut(every)
        limits = TailLimits(slow=settings.slow)
        self._tail = TailSampler(self._processor, clock, limits) if settings.tail else None
        self._share = TailShare(settings.tail_rate, clock) if settings.tail else None

    def tracer(self, service: str, *, alone: bool = False) -> Tracer:
        """Makes the tracer of a service; of one that is `alone` in its process, OTEL_SERVICE_NAME is the name."""
        name = (alone and self._settings.service) or service
        return Tracer(name, self._sampler, self._clock, self._processor, self._tail, self._share)

    def close(self, limit: float = LAST_EXPORT) -> None:
        """Exports what waits, for `limit` seconds at most for each exporter, and blocks meanwhile."""
        for one in self._batches:
            one.close(limit)

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(_NAME, _HELP, labels=["outcome"])
        for outcome in ("exported", "dropped", "failed"):
            family.add_metric([outcome], sum(getattr(one, outcome) for one in self._batches))
        family.add_metric(["unsampled"], 0 if self._tail is None else self._tail.forgotten)
        family.add_metric(["unrecorded"], 0 if self._share is None else self._share.left_out)
        yield family

    def describe(self) -> Iterable[Metric]:
        """Names the counter without reading it."""
        yield CounterMetricFamily(_NAME, _HELP, labels=["outcome"])


@asynccontextmanager
async def open_tracing(
    settings: TracingSettings, clock: Clock, about: Mapping[str, str], kept: KeptSpans | None = None
) -> AsyncIterator[Tracing | None]:
    """Records spans inside the block, as the settings say; None if there is to be no tracing.

    `about` are attributes of the resource, beside its service's name. `kept` says which spans this process keeps in
    memory; None for none. Raises ConfigurationError, in one line, when an exporter cannot be made.
    """
    if settings.disabled or not (settings.exporters or kept):
        yield None
        return
    exporters = [OfficialExporter(kind, clock, about) for kind in settings.exporters]
    tracing = Tracing(settings, clock, exporters, _sampler(settings, kept, clock), SpanRing() if kept else None)
    try:
        yield tracing
    finally:
        if exporters:
            await asyncio.shield(asyncio.to_thread(tracing.close))


def _sampler(settings: TracingSettings, kept: KeptSpans | None, clock: Clock) -> HeadSampler:
    if settings.sampler is not None:
        return settings.sampler
    if settings.exporters or kept is None:
        return HeadSampler(always_on)
    return HeadSampler(AtMostASecond(kept.traces, clock, kept.saved), own_at_edge=True)
