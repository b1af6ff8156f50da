"""The metrics of limits that are shared in Redis."""

from collections import Counter
from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class ShareCounts(Collector):
    """Questions to Redis, of which one exchange answers many; whether it is unavailable; and the requests that were
    decided without it, by policy."""

    def __init__(self) -> None:
        self.questions = self.round_trips = 0
        self.away = False
        self.without: Counter[str] = Counter()

    def collect(self) -> Iterable[Metric]:
        """Gives the counts, for a scrape."""
        yield CounterMetricFamily(
            "souk_gateway_limits_questions", "Questions to Redis about rate limits.", value=self.questions
        )
        yield CounterMetricFamily(
            "souk_gateway_limits_round_trips", "Exchanges with Redis about rate limits.", value=self.round_trips
        )
        yield GaugeMetricFamily(
            "souk_gateway_limits_away", "Whether the Redis of the rate limits is unavailable.", value=int(self.away)
        )
        family = CounterMetricFamily(
            "souk_gateway_limits_without_redis",
            "Requests that were decided while Redis was unavailable, by policy and by what it says for that.",
            labels=("policy", "when_away"),
        )
        for name, number in sorted(self.without.items()):
            family.add_metric(name.split(" "), number)
        yield family
