"""The metrics of Analytics.

souk_analytics_facts_total{kind}    facts that this process counted
souk_analytics_lag_seconds          from when the fact that was counted last happened until it was counted
"""

from collections.abc import Iterable, Mapping, Sequence

from marketplace.analytics.domain.facts import Cancelled, Confirmed, Fact, Refunded, Rejected, kind_of
from souk.sdk import MICROSECONDS, Clock, Collector, MeasuredAtScrape, counter


class FactCounts:
    """Counts facts by kind, and knows how late the last one was counted; that is not exported before the first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lag: float | None = None
        self._counter = counter("souk_analytics_facts", "Facts that were counted, each once.", ("kind",))
        for kind in (Confirmed, Rejected, Cancelled, Refunded):
            self._counter.labels(kind_of(kind))

    def count(self, fact: Fact) -> None:
        """Counts one that has just been committed."""
        self._counter.labels(kind_of(type(fact))).inc()
        self._lag = (self._clock.now() - fact.time) / MICROSECONDS

    def collectors(self) -> Sequence[Collector]:
        """Returns the collectors to register."""
        text = "Seconds from when the fact that was counted last happened until it was counted."
        return (self._counter, MeasuredAtScrape("souk_analytics_lag_seconds", text, (), self._measured))

    def _measured(self) -> Iterable[tuple[Mapping[str, str], float]]:
        return [] if self._lag is None else [({}, self._lag)]
