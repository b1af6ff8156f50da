"""Numbers of the databases.

souk_store_retries_total{service}    transactions that were run again because they had collided with another
"""

from collections.abc import Iterable, Mapping
from typing import Protocol, runtime_checkable

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from souk.store.database import Database

_NAME, _HELP = "souk_store_retries", "Transactions that were run again because they had collided with another."


@runtime_checkable
class _Retrying(Protocol):
    """A database whose transactions collide; SQLite's wait instead."""

    tries_again: int


class StoreRetries(Collector):
    """Counts for each of these databases, given by their services' names, when somebody asks."""

    def __init__(self, databases: Mapping[str, Database]) -> None:
        self._databases = {name: one for name, one in databases.items() if isinstance(one, _Retrying)}

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(_NAME, _HELP, labels=["service"])
        for name, database in self._databases.items():
            family.add_metric([name], database.tries_again)
        yield family

    def describe(self) -> Iterable[Metric]:
        """Names the counter without reading it."""
        yield CounterMetricFamily(_NAME, _HELP, labels=["service"])
