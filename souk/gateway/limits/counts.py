"""Counts what limits decided, by policy, for the metrics."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

ALLOWED, REFUSED, REPORTED = "allowed", "refused", "reported"


class LimitCounts(Collector):
    """How many requests each policy allowed, refused, or would have refused (`reported`).

    Plain numbers that are read at a scrape: a counter with labels would cost each request as much as the limit does.
    """

    def __init__(self) -> None:
        self.allowed: dict[str, int] = {}
        self.refused: dict[str, int] = {}
        self.reported: dict[str, int] = {}

    def add(self, policy: str) -> None:
        """Makes a policy known, so that its counts are shown from the start."""
        for counts in (self.allowed, self.refused, self.reported):
            counts.setdefault(policy, 0)

    def collect(self) -> Iterable[Metric]:
        """Gives the counts, for a scrape."""
        family = CounterMetricFamily(
            "souk_gateway_rate_limited",
            "What rate limits decided about requests, by policy.",
            labels=("policy", "outcome"),
        )
        for outcome, counts in ((ALLOWED, self.allowed), (REFUSED, self.refused), (REPORTED, self.reported)):
            for policy, number in sorted(counts.items()):
                family.add_metric([policy, outcome], number)
        yield family
