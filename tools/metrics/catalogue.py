"""Every metric that a process of a system can show: its name, type, labels and meaning, from the code that makes it.

Nothing is started: what would be read at a scrape is not read, so what it would be read from can be missing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from marketplace.analytics.background import FactCounts
from marketplace.inventory.background import OpenReservations
from marketplace.notification.background import message_counts
from marketplace.order.background import DifferingOrders, LostCharges
from marketplace.payment.background import Differences
from marketplace.product.background import SearchMetrics
from souk.gateway.auth.audit import AuditLog
from souk.gateway.limits.counts import LimitCounts
from souk.gateway.limits.shared.share_counts import ShareCounts
from souk.gateway.log import RequestLog
from souk.gateway.overload.gate import OverloadGate
from souk.gateway.proxy.metrics import UpstreamMetrics
from souk.gateway.public_reads.read_cache import PublicReadCache
from souk.gateway.routing.live import LiveRoutes
from souk.gateway.routing.route_limits import RouteLimits
from souk.hosting.adopted.measured import MeasuredApplication
from souk.kernel.clock import SystemClock
from souk.mesh.operations.metrics import MeshMetrics
from souk.runtime.calls.backlog import Backlog
from souk.runtime.calls.clock_skew import ClockSkew
from souk.runtime.calls.guard_metrics import GuardMetrics
from souk.runtime.calls.metrics import (
    CallMetrics,
    InboxRepeats,
    StoreRetries,
    measure_connections,
    measure_directory,
)
from souk.runtime.process.loop_lag import LoopLag
from souk.store.cache.read_cache import ReadCache
from souk.telemetry.log_export.exporting import LogRecords
from souk.telemetry.log_export.settings import LogExportSettings
from souk.telemetry.series import MetricRegistry
from souk.telemetry.tracing.tracing import Tracing

_ANY: Any = cast(Any, None)
_CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class ShownMetric:
    """A metric as Prometheus shows it; `where` are the processes that have it."""

    name: str
    type: str
    labels: tuple[str, ...]
    help: str
    where: str

    @property
    def series(self) -> tuple[str, ...]:
        """The names of its series."""
        if self.type == "histogram":
            return (f"{self.name}_bucket", f"{self.name}_sum", f"{self.name}_count")
        return (self.name,)


class _Recording(MetricRegistry):
    """Remembers the collectors that are registered."""

    def __init__(self) -> None:
        self.collectors: list[Collector] = []
        super().__init__()

    def register(self, collector: Collector) -> None:
        self.collectors.append(collector)


def catalogue() -> list[ShownMetric]:
    """Lists every metric, by where it is and by name."""
    found = [*_of("each process", _process), *_of("a gateway", _gateway), *_of("an adopted application", _adopted)]
    found += _of(_ORDER[-1], _control_plane)
    for service, collectors in _services().items():
        found += _shown(service, collectors)
    return sorted(found, key=lambda one: (_ORDER.index(one.where) if one.where in _ORDER else len(_ORDER), one.name))


_ORDER = ("each process", "a gateway", "an adopted application", "a mesh's control plane")


def _of(where: str, make: Any) -> Iterator[ShownMetric]:
    registry = _Recording()
    make(registry)
    yield from _shown(where, registry.collectors)


def _process(registry: _Recording) -> None:
    CallMetrics(registry)
    registry.register(GuardMetrics(_CLOCK.monotonic))
    LoopLag(registry, _CLOCK)
    measure_directory(registry, _ANY)
    ClockSkew(registry, _ANY)
    Backlog(registry)
    measure_connections(registry, {})
    logs = LogRecords(LogExportSettings(), _CLOCK, None)
    for collector in (logs, StoreRetries({}), InboxRepeats({}), Tracing.__new__(Tracing)):
        registry.register(collector)


def _gateway(registry: _Recording) -> None:
    registry.collectors.clear()
    RequestLog(registry, _CLOCK)
    AuditLog(registry, _CLOCK)
    LiveRoutes(Path(), _ANY, registry)
    UpstreamMetrics(registry, _CLOCK.monotonic)
    for collector in (OverloadGate(1, enforce=True), LimitCounts(), ShareCounts(), RouteLimits()):
        registry.register(collector)
    registry.register(PublicReadCache(1.0, 1, _CLOCK))


def _adopted(registry: _Recording) -> None:
    registry.collectors.clear()
    MeasuredApplication(_ANY, registry, _CLOCK)


def _control_plane(registry: _Recording) -> None:
    registry.collectors.clear()
    MeshMetrics(_ANY, registry)


def _services() -> dict[str, Iterable[Collector]]:
    return {
        "analytics": FactCounts(_CLOCK).collectors(),
        "inventory": OpenReservations().collectors(),
        "notification": [one.collector for one in message_counts()],
        "order": [*LostCharges().collectors(_ANY), *DifferingOrders().collectors()],
        "payment": Differences().collectors(_ANY),
        "product": [*SearchMetrics().collectors(_LATER, _LATER), ReadCache("product", _CLOCK, None, alone=True)],
    }


_LATER: Any = object()
"""Stands for what a gauge is read from at a scrape."""


def _shown(where: str, collectors: Iterable[Collector]) -> Iterator[ShownMetric]:
    for collector in collectors:
        described = getattr(collector, "describe", collector.collect)
        for metric in described():
            yield ShownMetric(_name(metric), metric.type, _labels(collector, metric), metric.documentation, where)


def _name(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


def _labels(collector: Collector, metric: Metric) -> tuple[str, ...]:
    # Names of prometheus_client's own: a metric has its labels nowhere else before it has a series.
    if isinstance(collector, MetricWrapperBase):
        return tuple(collector._labelnames)
    return tuple(getattr(metric, "_labelnames", ()))
