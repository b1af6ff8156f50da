"""Histograms of times, observed once for each request by one thread: no lock, and no walk over the buckets."""

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from souk.telemetry.metrics import LATENCY_BUCKETS
from souk.telemetry.series import SeriesLimit

_BOUNDS = (*(str(bound) for bound in LATENCY_BUCKETS), "+Inf")


class LatencySeries:
    """The times of one set of labels, in seconds. `counts` are those of each bucket alone."""

    __slots__ = ("counts", "examples", "sum")

    def __init__(self) -> None:
        self.counts = [0] * len(_BOUNDS)
        self.examples: dict[int, tuple[str, float]] = {}
        """The last trace of a bucket, and its time."""
        self.sum = 0.0

    def observe(self, seconds: float, trace_id: str = "") -> None:
        """Counts a time in the bucket of the least bound that is not below it.

        `trace_id` is that of a trace that is recorded, which the histogram then shows as an exemplar (OpenMetrics).
        """
        bucket = bisect_left(LATENCY_BUCKETS, seconds)
        self.counts[bucket] += 1
        self.sum += seconds
        if trace_id:
            self.examples[bucket] = trace_id, seconds


class Latencies(Collector):
    """A histogram with the buckets LATENCY_BUCKETS, in `registry`. It may be observed by one thread only."""

    def __init__(self, registry: CollectorRegistry, name: str, help_text: str, labels: tuple[str, ...]) -> None:
        self._name, self._help, self._labels = name, help_text, labels
        self._series: dict[tuple[str, ...], LatencySeries] = {}
        self._limit = SeriesLimit(name)
        registry.register(self)
        self._limit.join(registry)

    def labels(self, *values: str) -> LatencySeries:
        """Returns the series of these labels, in the histogram's order; that of `other` if there are too many."""
        values = self._limit.bounded(values)
        return self._series.setdefault(values, LatencySeries())

    def collect(self) -> Iterable[Metric]:
        """Gives all series, for a scrape."""
        family = HistogramMetricFamily(self._name, self._help, labels=self._labels)
        for values, series in self._series.items():
            counts = zip(_BOUNDS, map(float, accumulate(series.counts)), strict=True)
            buckets = [
                (bound, count, _exemplar(*series.examples[number])) if number in series.examples else (bound, count)
                for number, (bound, count) in enumerate(counts)
            ]
            family.add_metric(values, buckets, series.sum)
        yield family

    def describe(self) -> Iterable[Metric]:
        """Names the histogram without reading it."""
        yield HistogramMetricFamily(self._name, self._help, labels=self._labels)


def _exemplar(trace_id: str, seconds: float) -> Exemplar:
    return Exemplar({"trace_id": trace_id}, seconds)
