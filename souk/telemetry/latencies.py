"""Histograms of times, observed once for each request by one thread: no lock, and no walk over the buckets."""

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from souk.telemetry.metrics import LATENCY_BUCKETS

_BOUNDS = (*(str(bound) for bound in LATENCY_BUCKETS), "+Inf")


class LatencySeries:
    """The times of one set of labels, in seconds. `counts` are those of each bucket alone."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * len(_BOUNDS)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Counts a time in the bucket of the least bound that is not below it."""
        self.counts[bisect_left(LATENCY_BUCKETS, seconds)] += 1
        self.sum += seconds


class Latencies(Collector):
    """A histogram with the buckets LATENCY_BUCKETS, in `registry`. It may be observed by one thread only."""

    def __init__(self, registry: CollectorRegistry, name: str, help_text: str, labels: tuple[str, ...]) -> None:
        self._name, self._help, self._labels = name, help_text, labels
        self._series: dict[tuple[str, ...], LatencySeries] = {}
        registry.register(self)

    def labels(self, *values: str) -> LatencySeries:
        """Returns the series of these labels, in the order of the histogram's."""
        return self._series.setdefault(values, LatencySeries())

    def collect(self) -> Iterable[Metric]:
        """Gives all series, for a scrape."""
        family = HistogramMetricFamily(self._name, self._help, labels=self._labels)
        for values, series in self._series.items():
            buckets = zip(_BOUNDS, map(float, accumulate(series.counts)), strict=True)
            family.add_metric(values, list(buckets), series.sum)
        yield family

    def describe(self) -> Iterable[Metric]:
        """Names the histogram without reading it."""
        yield HistogramMetricFamily(self._name, self._help, labels=self._labels)
