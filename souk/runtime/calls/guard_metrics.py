"""Metrics of what guards the calls of this process: bulkheads, retries with their budgets, and balancers.

`callee` is a service, or SERVICE/METHOD where a method has a bulkhead of its own.

souk_bulkhead_calls{caller, callee, state}         calls that run (`running`) and that wait for their turn (`waiting`)
souk_bulkhead_refused_total{caller, callee}        calls that were refused, since too many waited
souk_call_retries_total{caller, callee, outcome}   tries after the first (`made`); those for which the budget had no
                                                   token (`refused`)
souk_retry_budget_tokens{caller, callee}           retries that the budget allows now
souk_balancer_instances{caller, callee, state}     instances to choose from (`used`), and those left out (`ejected`)
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from souk.resilience.balancer import Balancer
from souk.resilience.bulkhead import Bulkhead
from souk.resilience.retry import Retry

_Pair: TypeAlias = tuple[str, str]
"""A caller and a callee."""
_PAIR = ("caller", "callee")


class GuardMetrics(Collector):
    """Shows the guards that it is given. `now` reads the monotonic clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.bulkheads: dict[_Pair, Bulkhead[Any]] = {}
        self.retries: dict[_Pair, Retry] = {}
        self.balancers: dict[_Pair, Balancer] = {}

    def collect(self) -> Iterable[Metric]:
        calls, refused, retries, tokens, instances = _families()
        for pair, bulkhead in self.bulkheads.items():
            _add(calls, pair, {"running": bulkhead.running, "waiting": bulkhead.waiting})
            refused.add_metric(pair, bulkhead.refused)
        for pair, retry in self.retries.items():
            _add(retries, pair, {"made": retry.made, "refused": retry.refused})
            tokens.add_metric(pair, retry.tokens(self._now()))
        for pair, balancer in self.balancers.items():
            ejected = len(balancer.ejected(self._now()))
            _add(instances, pair, {"used": len(balancer.addresses()) - ejected, "ejected": ejected})
        yield from (calls, refused, retries, tokens, instances)

    def describe(self) -> Iterator[Metric]:
        """Names the metrics without reading anything."""
        yield from _families()


def _families() -> tuple[
    GaugeMetricFamily, CounterMetricFamily, CounterMetricFamily, GaugeMetricFamily, GaugeMetricFamily
]:
    return (
        GaugeMetricFamily(
            "souk_bulkhead_calls", "Calls that run, and that wait for their turn.", labels=(*_PAIR, "state")
        ),
        CounterMetricFamily("souk_bulkhead_refused", "Calls refused since too many waited.", labels=_PAIR),
        CounterMetricFamily(
            "souk_call_retries", "Tries after the first, made or refused by the budget.", labels=(*_PAIR, "outcome")
        ),
        GaugeMetricFamily("souk_retry_budget_tokens", "Retries that the budget allows now.", labels=_PAIR),
        GaugeMetricFamily(
            "souk_balancer_instances",
            "Instances to choose from, and those left out for a while.",
            labels=(*_PAIR, "state"),
        ),
    )


def _add(family: GaugeMetricFamily | CounterMetricFamily, pair: _Pair, values: Mapping[str, int]) -> None:
    for name, value in values.items():
        family.add_metric((*pair, name), value)
