"""Metrics for Prometheus. The registry is always a parameter, so that two systems fit in one process."""

import re
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
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector as Collector

from souk.telemetry.series import MetricRegistry, bounded_counter

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds, from a read in memory to the time limit of an order."""

_PLAIN, _OPENMETRICS = "text/plain", "application/openmetrics-text"

_QUALITY = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?", re.ASCII)

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
    """Makes a counter with these labels, whose series are limited; it is in no registry yet."""
    return bounded_counter(name, help_text, labels)


def process_registry() -> CollectorRegistry:
    """Makes a registry with the metrics of this process: its memory, CPU, open files, garbage collection."""
    registry = MetricRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def exposition(registry: CollectorRegistry) -> bytes:
    """Returns all metrics of the registry in Prometheus' text format."""
    return generate_latest(registry)


def negotiated(registry: CollectorRegistry, accept: str) -> tuple[str, bytes]:
    """Returns the content type and the text of all metrics of the registry, as the header Accept prefers them.

    That is OpenMetrics 1.0, which has exemplars, or Prometheus' text format.
    """
    if 0 < _quality(accept, _OPENMETRICS) >= _quality(accept, _PLAIN):
        return openmetrics.CONTENT_TYPE_LATEST, bytes(openmetrics.generate_latest(registry))  # type: ignore[no-untyped-call]
    return CONTENT_TYPE_PLAIN_0_0_4, exposition(registry)


def _quality(accept: str, kind: str) -> float:
    """Reads how much a header Accept wants a media type (RFC 9110, 12.5.1); 0 if it does not name it."""
    most = 0.0
    for one in accept.split(","):
        name, *parameters = (part.strip() for part in one.split(";"))
        if name.lower() == kind:
            given = next((text[2:] for text in parameters if text.lower().startswith("q=")), "1")
            most = max(most, float(given) if _QUALITY.fullmatch(given) else 0.0)
    return most
