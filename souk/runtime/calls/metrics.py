"""Metrics of the calls between services (how long they took, how they ended, which breakers are open), of the
databases, and of discovery.

souk_store_retries_total{service}            transactions that were run again because they had collided with another
souk_inbox_repeats_total{service, consumer}  events that came again to a consumer that had handled them
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, runtime_checkable

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from souk.discovery.directory import Directory
from souk.kernel.context import current
from souk.resilience.breaker.breaker import Breaker, State
from souk.rpc.call import Call, CallFailed
from souk.rpc.client.layers import Ended
from souk.store.database import Database
from souk.store.inbox import Inbox
from souk.telemetry.latencies import Latencies, LatencySeries
from souk.telemetry.metrics import Sample, measure

DONE = "done"
_SAMPLED = "-01"
"""How the `traceparent` of a sampled trace ends."""


class CallMetrics:
    """Counts the calls of one process into `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        text = "Calls between services, all tries together, by how they ended."
        self._seconds = Latencies(registry, "souk_call_seconds", text, ("caller", "callee", "method", "outcome"))
        self._breakers: dict[tuple[str, str], Breaker] = {}
        measure(
            registry, "souk_breaker_state", "1 for the state of a breaker.", ("caller", "callee", "state"), self._states
        )

    def ended(self, caller: str, *, traced: bool = False) -> Ended:
        """Gives the function that a channel of `caller` calls when each of its calls ends.

        If calls are `traced`, it remembers the trace of one that is sampled, as an exemplar.
        """

        # Our own cache: looking a child up by its labels costs as much as all the rest of the function.
        children: dict[tuple[str, str], LatencySeries] = {}

        def observe(call: Call, seconds: float, error: CallFailed | None) -> None:
            outcome = DONE if error is None else error.outcome.value
            key = (call.method.full_name, outcome)
            child = children.get(key)
            if child is None:
                method = call.method
                child = children[key] = self._seconds.labels(caller, method.service, method.name, outcome)
            trace = current().traceparent if traced else ""
            child.observe(seconds, trace[3:35] if trace.endswith(_SAMPLED) else "")

        return observe

    def watch(self, caller: str, callee: str, breaker: Breaker) -> None:
        """Shows a breaker's state from now on."""
        self._breakers[caller, callee] = breaker

    def forget(self, caller: str, callee: str) -> None:
        """Shows a breaker's state no more."""
        self._breakers.pop((caller, callee), None)

    def _states(self) -> Iterator[Sample]:
        for (caller, callee), breaker in self._breakers.items():
            for state in State:
                yield {"caller": caller, "callee": callee, "state": state.name.lower()}, float(breaker.state is state)


_NAME, _HELP = "souk_store_retries", "Transactions that were run again because they had collided with another."
_REPEATS, _REPEATS_HELP = "souk_inbox_repeats", "Events that came again to a consumer that had handled them."


@runtime_checkable
class _Retrying(Protocol):
    """A database whose transactions can collide, and then run again; those of SQLite wait instead."""

    tries_again: int


class StoreRetries(Collector):
    """Reads at each scrape how many transactions of each of these databases were run again, by service."""

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


@runtime_checkable
class _Pooled(Protocol):
    """A database with a pool of connections."""

    def connections(self) -> tuple[int, int, int]:
        """Counts the connections that are in use, those that are idle, and how many there may be."""
        ...


def measure_connections(registry: CollectorRegistry, databases: Mapping[str, Database]) -> None:
    """Registers souk_store_connections{service, state}, of the databases with a pool: `busy`, `idle` and `most`."""
    pools = {name: one for name, one in databases.items() if isinstance(one, _Pooled)}

    def read() -> Iterator[Sample]:
        for name, pool in pools.items():
            for state, count in zip(("busy", "idle", "most"), pool.connections(), strict=True):
                yield {"service": name, "state": state}, float(count)

    text = "Connections to a database that are busy and idle, and how many there may be."
    measure(registry, "souk_store_connections", text, ("service", "state"), read)


class InboxRepeats(Collector):
    """Reads at each scrape how many events came again after a consumer of these services had handled them."""

    def __init__(self, inboxes: Mapping[str, Inbox]) -> None:
        self._inboxes = inboxes

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(_REPEATS, _REPEATS_HELP, labels=["service", "consumer"])
        for name, inbox in self._inboxes.items():
            for consumer, count in inbox.repeats.items():
                family.add_metric([name, f"{name}/{consumer}"], count)
        yield family

    def describe(self) -> Iterable[Metric]:
        """Names the counter without reading it."""
        yield CounterMetricFamily(_REPEATS, _REPEATS_HELP, labels=["service", "consumer"])


def measure_directory(registry: CollectorRegistry, directory: Directory) -> None:
    """Registers metrics: how many instances are known of each service, and whether the registry is out of reach."""
    measure(
        registry,
        "souk_discovery_instances",
        "Instances of a service that can be called, as far as is known.",
        ("service",),
        lambda: [({"service": service}, float(count)) for service, count in directory.counts().items()],
    )
    measure(
        registry,
        "souk_discovery_registry_away",
        "1 while the registry cannot be reached and the instances known last stay in use.",
        (),
        lambda: [({}, 1.0 if directory.away else 0.0)],
    )
