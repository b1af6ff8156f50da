"""Metrics for Prometheus. The registry is always a parameter, so that two systems fit in one process."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector as Collector

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds, from a read in memory to the time limit of an order."""

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

Sample = tuple[Mapping[str, str], float]
Read = Callable[[], Iterable[Sample]]


class MeasuredAtScrape(Collector):
    """A gauge whose samples are read at each scrape, such as the length of a queue or the state of a breaker.

    `read` returns `(labels, value)` pairs and must not block.
    """

    def __init__(self, name: str, help_text: str, labels: tuple[str, ...], read: Read) -> None:
        self._name, self._help, self._labels, self._read = name, help_text, labels, read

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(self._name, self._help, labels=self._labels)
        for labels, value in self._read():
            family.add_metric([labels[label] for label in self._labels], value)
        yield family

    def describe(self) -> Iterable[Metric]:
        """Names the gauge without reading it."""
        yield GaugeMetricFamily(self._name, self._help, labels=self._labels)


def measure(registry: CollectorRegistry, name: str, help_text: str, labels: tuple[str, ...], read: Read) -> None:
    """Registers a gauge that is read at each scrape."""
    registry.register(MeasuredAtScrape(name, help_text, labels, read))


def counter(name: str, help_text: str, labels: tuple[str, ...]) -> Counter:
    """Makes a counter with these labels; it is in no registry yet."""
    return Counter(name, help_text, labels, registry=None)


def process_registry() -> CollectorRegistry:
    """Makes a registry with the metrics of this process: its memory, CPU, open files, garbage collection."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def exposition(registry: CollectorRegistry) -> bytes:
    """Returns all metrics of the registry in Prometheus' text format (`CONTENT_TYPE`)."""
    return generate_latest(registry)
