"""Metrics of upstreams.

souk_upstream_seconds{upstream,outcome}      until the head of the answer, all tries together: `2xx` to `5xx`, or what
                                             failed: `late`, `broken`, `not sent`, `full`, `stale`, `unprocessed`,
                                             `too large`, `refused` by the breaker, `none` without an instance, `gone`
                                             when the client left before
souk_upstream_retries_total{upstream}        tries after the first one
souk_upstream_instances{upstream,state}      the instances that are asked (`used`) and those left out (`ejected`)
souk_upstream_connections{upstream,state}    connections that wait for a request (`idle`) and all others (`busy`)
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from prometheus_client import CollectorRegistry

from souk.telemetry.latencies import Latencies, LatencySeries
from souk.telemetry.metrics import Sample, counter, measure

STATUS_CLASSES: Mapping[int, str] = MappingProxyType({k: f"{k}xx" for k in range(1, 6)})
REFUSED, NO_INSTANCE, CLIENT_GONE = "refused", "none", "gone"


class MeasuredUpstream(Protocol):
    """What is shown of an upstream."""

    name: str

    @property
    def instances(self) -> int:
        """How many instances are known."""
        ...

    def ejected(self, now: float) -> Sequence[str]:
        """Returns the addresses of the instances that are left out."""
        ...

    def connections(self) -> tuple[int, int]:
        """Counts the idle connections, and all others."""
        ...


class UpstreamMetrics:
    """Counts the requests to upstreams of one process into `registry`, and shows how its upstreams are."""

    def __init__(self, registry: CollectorRegistry, now: Callable[[], float]) -> None:
        text = "Requests to an upstream until the head of the answer, all tries together, by how they ended."
        labels = ("upstream", "outcome")
        self._seconds = Latencies(registry, "souk_upstream_seconds", text, labels)
        text = "Tries of requests to an upstream after the first one."
        self._retries = counter("souk_upstream_retries", text, ("upstream",))
        registry.register(self._retries)
        self._now = now
        self._shown: list[MeasuredUpstream] = []
        labels, text = ("upstream", "state"), "Instances of an upstream that are asked, and those left out for a while."
        measure(registry, "souk_upstream_instances", text, labels, self._instances)
        text = "Connections to an upstream that wait for a request, and all others."
        measure(registry, "souk_upstream_connections", text, labels, self._connections)

    def show(self, upstreams: Iterable[MeasuredUpstream]) -> None:
        """Shows these upstreams, and no others, from now on."""
        self._shown = list(upstreams)

    def observer(self, upstream: str) -> Callable[[str, float], None]:
        """Gives the function that an upstream calls when a request has ended, with how and after how many seconds."""
        children: dict[str, LatencySeries] = {}  # as labels() costs as much as the rest

        def observe(outcome: str, seconds: float) -> None:
            child = children.get(outcome)
            if child is None:
                child = children[outcome] = self._seconds.labels(upstream, outcome)
            child.observe(seconds)

        return observe

    def retried(self, upstream: str) -> Callable[[], None]:
        """Gives the function that an upstream calls for each try after the first."""
        return self._retries.labels(upstream).inc

    def _instances(self) -> Iterator[Sample]:
        for one in self._shown:
            ejected = len(one.ejected(self._now()))
            yield {"upstream": one.name, "state": "used"}, float(one.instances - ejected)
            yield {"upstream": one.name, "state": "ejected"}, float(ejected)

    def _connections(self) -> Iterator[Sample]:
        for one in self._shown:
            idle, busy = one.connections()
            yield {"upstream": one.name, "state": "idle"}, float(idle)
            yield {"upstream": one.name, "state": "busy"}, float(busy)
