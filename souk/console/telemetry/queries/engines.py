"""What services ask of engines and of what is outside: how often and how fast, from spans of kept traces, and what the
figures say of it: pools of connections, caches, and how far events are behind."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from souk.console.telemetry.queries.figures import increases, read_gauges
from souk.kernel.clock import MICROSECONDS

POOL, CACHE, OUTBOX, OUTBOX_LAG, AT_BROKER = (
    "souk_store_connections",
    "souk_cache_reads",
    "souk_outbox_events",
    "souk_outbox_lag_seconds",
    "souk_broker_events",
)
MOST_SPANS = 2_000
"""Spans that are read: the newest of the window. If there are more, rates are those of the time that these cover."""
BROKERS = "messaging/"
"""How the names of brokers begin: one of them may be a cache, too."""
_CLIENT = 2
_BY_CALL = "souk"
"""The messaging system of events that services bring each other by calls, which are calls like others."""


@dataclass(frozen=True, slots=True)
class EngineCalls:
    """What a service asked of an engine: `rate` per second in kept traces, of which `failures`; times in seconds."""

    service: str
    engine: str
    rate: float
    failures: float
    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class EngineUse:
    """What is known of engines in a window. `pools` are connections by service and state, `waiting` the events in each
    service's outbox and the age of its oldest one, `at_broker` what a broker has for each consuming service, `caches`
    the reads per second by service, those from memory and all."""

    calls: Sequence[EngineCalls] = ()
    pools: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    waiting: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    at_broker: Mapping[str, float] = field(default_factory=dict)
    caches: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def read_engines(connection: sqlite3.Connection, since: int, until: int) -> EngineUse:
    """Reads what services asked of engines between two moments, and how these stood at the end."""
    pools: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for labels, value in read_gauges(connection, POOL, until, since):
        pools[labels["service"]][labels["state"]] += value
    waiting: dict[str, tuple[float, float]] = {}
    for labels, value in read_gauges(connection, OUTBOX, until, since):
        if labels["state"] == "pending":
            events, age = waiting.get(labels["service"], (0.0, 0.0))
            waiting[labels["service"]] = events + value, age
    for labels, value in read_gauges(connection, OUTBOX_LAG, until, since):
        events, age = waiting.get(labels["service"], (0.0, 0.0))
        waiting[labels["service"]] = events, max(age, value)
    at_broker: dict[str, float] = defaultdict(float)
    for labels, value in read_gauges(connection, AT_BROKER, until, since):
        at_broker[labels["service"]] += value
    caches: dict[str, tuple[float, float]] = {}
    seconds = max((until - since) / MICROSECONDS, 1e-6)
    for one in increases(connection, CACHE, since, until):
        memory, every = caches.get(one.labels["cache"], (0.0, 0.0))
        own = one.value / seconds if one.labels["result"] in ("fresh", "stale") else 0.0
        caches[one.labels["cache"]] = memory + own, every + one.value / seconds
    return EngineUse(_calls(connection, since, until), pools, waiting, at_broker, caches)


# Of traces that began a little earlier, too: a trace goes on after its first span.
_SPANS = """
SELECT s.service, s.took, s.error <> '', s.attributes, t.began
FROM traces AS t CROSS JOIN spans AS s ON s.trace_id = t.trace_id
WHERE t.began >= :since - 60000000 AND t.began <= :until AND s.kind = :kind AND s.began >= :since
ORDER BY t.began DESC LIMIT :most
"""


def _calls(connection: sqlite3.Connection, since: int, until: int) -> Sequence[EngineCalls]:
    found = defaultdict[tuple[str, str], list[tuple[float, int]]](list)
    values = {"since": since, "until": until, "kind": _CLIENT, "most": MOST_SPANS}
    rows = connection.execute(_SPANS, values).fetchall()
    for service, took, failed, attributes, _ in rows:
        if engine := _engine(json.loads(attributes)):
            found[service, engine].append((took / MICROSECONDS, failed))
    if len(rows) == MOST_SPANS:
        since = max(since, rows[-1][4])
    seconds = max((until - since) / MICROSECONDS, 1e-6)
    return [_figures(*pair, sorted(them), seconds) for pair, them in sorted(found.items())]


def _figures(service: str, engine: str, them: Sequence[tuple[float, int]], seconds: float) -> EngineCalls:
    def at(part: float) -> float:
        return them[min(int(part * len(them)), len(them) - 1)][0]

    return EngineCalls(
        service, engine, len(them) / seconds, sum(failed for _, failed in them) / seconds, at(0.5), at(0.99)
    )


def _engine(attributes: Mapping[str, object]) -> str:
    """Names what a client's span asked, if that is no service: by OpenTelemetry's conventions."""
    if "rpc.system" in attributes or "rpc.system.name" in attributes:
        return ""
    if messaging := attributes.get("messaging.system"):
        return "" if messaging == _BY_CALL else f"{BROKERS}{messaging}"
    for name in ("peer.service", "db.system.name", "network.protocol.name", "server.address"):
        if found := attributes.get(name):
            return str(found)
    return ""
