"""Lets requests in by their priority, as long as not too many run."""

from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from souk.descriptors.contract import Priority
from souk.gateway.http.problem import Problem
from souk.gateway.overload.concurrency import AdaptiveLimit

OVERLOADED = "OVERLOADED"
RETRY_AFTER = 1.0
SHARES: Mapping[Priority, float] = {Priority.LOW: 0.6, Priority.NORMAL: 0.8, Priority.HIGH: 1.0}
"""How much of the limit may run when a request of a priority comes: what is left above is for those before it."""


class OverloadGate(Collector):
    """Counts the requests that run, and refuses those that would be too many for their priority.

    All that run count against `most`. Against the adaptive limit only those count that matter as much or more: browsing
    that was let in a moment ago keeps no checkout out. With `enforce` false none is refused: those that would be are
    counted.
    """

    def __init__(self, most: int, *, enforce: bool) -> None:
        self.limit, self._most, self._enforce = AdaptiveLimit(most), most, enforce
        self.running = dict.fromkeys(Priority, 0)
        self._rooms = {priority: Room(self.running, priority) for priority in Priority}
        self._refused = dict.fromkeys(Priority, 0)

    @property
    def total(self) -> int:
        """How many requests run."""
        return sum(self.running.values())

    def enter(self, priority: Priority) -> "Room":
        """Returns the context for a request to run in. Raises Problem 503 when there is no room for its priority."""
        share, total, limit = SHARES[priority], sum(self.running.values()), self.limit.value
        if total >= min(self._most, limit) * share and self._is_full(priority, share, total, limit):
            self._refused[priority] += 1
            if self._enforce:
                raise Problem(503, OVERLOADED, "the server has too much to do now", retry_after=RETRY_AFTER)
        return self._rooms[priority]

    def _is_full(self, priority: Priority, share: float, total: int, limit: float) -> bool:
        alike = sum(number for one, number in self.running.items() if one >= priority)
        return total >= self._most * share or alike >= limit * share

    def sample(self, lag: float) -> None:
        """Learns how late the event loop was, in seconds."""
        self.limit.sample(lag, self.total)

    def collect(self) -> Iterable[Metric]:
        """Gives the counts, for a scrape."""
        yield GaugeMetricFamily("souk_gateway_running", "Requests that run.", value=self.total)
        yield GaugeMetricFamily("souk_gateway_running_limit", "How many may run.", value=self.limit.value)
        outcome = "refused" if self._enforce else "reported"
        family = CounterMetricFamily(
            "souk_gateway_overloaded",
            "Requests that were too many to run, by priority.",
            labels=("priority", "outcome"),
        )
        for priority, number in self._refused.items():
            family.add_metric([priority.name.lower(), outcome], number)
        yield family


class Room:
    """The context in which a request of a priority runs; one for all of them."""

    __slots__ = ("_priority", "_running")

    def __init__(self, running: dict[Priority, int], priority: Priority) -> None:
        self._running, self._priority = running, priority

    def __enter__(self) -> None:
        self._running[self._priority] += 1

    def __exit__(self, *_: object) -> None:
        self._running[self._priority] -= 1
