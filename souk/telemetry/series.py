"""Limits how many series a metric has. A label whose values come from outside must not fill the memory of this process,
nor that of Prometheus.

souk_metrics_folded_total{metric}   observations that were counted under `other`, since their metric had too many series
"""

from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

MOST_SERIES = 2_000
"""Sets of label values of one metric."""
OTHER = "other"
"""The value of every label in the series into which all sets of values beyond the limit are folded."""
_NAME, _HELP = "souk_metrics_folded", "Observations counted under `other`, since their metric has too many series."


class SeriesLimit:
    """Admits `most` sets of label values of the metric `name`, and folds all others into one."""

    def __init__(self, name: str, most: int = MOST_SERIES) -> None:
        self.name, self.folded = name, 0
        self._most = most
        self._known: set[tuple[str, ...]] = set()

    def bounded(self, values: tuple[str, ...]) -> tuple[str, ...]:
        """Returns these values if they are known or there is room; else OTHER for each of them."""
        if values in self._known:
            return values
        if len(self._known) >= self._most:
            self.folded += 1
            return (OTHER,) * len(values)
        self._known.add(values)
        return values

    def join(self, registry: CollectorRegistry) -> None:
        """Shows in a registry how often it has folded, if that is a `MetricRegistry`."""
        if isinstance(registry, MetricRegistry):
            registry.limits.append(self)


class BoundedCounter(Counter):
    """A counter of prometheus_client whose series are limited."""

    limit: SeriesLimit

    def labels(self, *labelvalues: Any, **labelkwargs: Any) -> Counter:  # type: ignore[override]
        """Returns the counter of these values, as prometheus_client does; that of `other` if there are too many."""
        values = labelvalues or tuple(labelkwargs[name] for name in self._labelnames)
        return super().labels(*self.limit.bounded(tuple(map(str, values))))

    def _child_samples(self) -> Iterable[Sample]:
        """Leaves out since when it counts, which is a series more for each counter and which nobody reads."""
        return [one for one in super()._child_samples() if one.name != "_created"]


def bounded_counter(name: str, help_text: str, labels: tuple[str, ...]) -> BoundedCounter:
    """Makes a counter; it is in no registry yet."""
    made = BoundedCounter(name, help_text, labels, registry=None)
    made.limit = SeriesLimit(f"{name.removesuffix('_total')}_total")
    return made


class MetricRegistry(CollectorRegistry):
    """A registry that also shows what the limits of its metrics have folded."""

    def __init__(self) -> None:
        super().__init__()
        self.limits: list[SeriesLimit] = []
        self.register(_Folded(self.limits))

    def register(self, collector: Collector) -> None:
        """Registers a collector; of a counter that is limited, also what is folded."""
        super().register(collector)
        if isinstance(collector, BoundedCounter):
            self.limits.append(collector.limit)


class _Folded(Collector):
    def __init__(self, limits: list[SeriesLimit]) -> None:
        self._limits = limits

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(_NAME, _HELP, labels=["metric"])
        for limit in self._limits:
            if limit.folded:
                family.add_metric([limit.name], limit.folded)
        yield family

    def describe(self) -> Iterable[Metric]:
        yield CounterMetricFamily(_NAME, _HELP, labels=["metric"])
