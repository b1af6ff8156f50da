"""The limits of the routes file's rules on requests at once, which outlive the file: reloading forgets no request."""

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from souk.gateway.overload.route_limit import RouteLimit
from souk.gateway.routing.model import Rule


class RouteLimits(Collector):
    """The limits of the file in force, by the name of the rule; of rules with one name, each has its own."""

    def __init__(self) -> None:
        self._limits: dict[tuple[str, int], RouteLimit] = {}

    def of_rules(self, rules: Iterable[Rule]) -> "dict[int, RouteLimit]":
        """Returns the limits of a file's rules, by the `id` of the rule: those of before, and new ones."""
        return {id(rule): self._limits.get(key) or RouteLimit(most) for key, rule, most in _limited(rules)}

    def use(self, rules: Iterable[Rule], limits: "dict[int, RouteLimit]") -> None:
        """Puts the limits that `of_rules` returned into force."""
        self._limits = {}
        for key, rule, most in _limited(rules):
            limit = self._limits[key] = limits[id(rule)]
            limit.most = most

    def collect(self) -> Iterable[Metric]:
        """Gives the counts of rules that have a limit, for a scrape."""
        running = GaugeMetricFamily(
            "souk_gateway_route_running", "Requests that run on a limited route.", labels=("route",)
        )
        refused = CounterMetricFamily(
            "souk_gateway_route_refused", "Requests that were too many at once for their route.", labels=("route",)
        )
        totals: dict[str, tuple[int, int]] = {}
        for (name, _), limit in self._limits.items():
            before = totals.get(name, (0, 0))
            totals[name] = (before[0] + limit.running, before[1] + limit.refused)
        for name, (now, no) in totals.items():
            running.add_metric([name], now)
            refused.add_metric([name], no)
        yield from (running, refused)


def _limited(rules: Iterable[Rule]) -> Iterator[tuple[tuple[str, int], Rule, int]]:
    names: Counter[str] = Counter()
    for rule in rules:
        names[rule.name] += 1
        if rule.max_running is not None:
            yield (rule.name, names[rule.name]), rule, rule.max_running
