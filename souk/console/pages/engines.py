"""The engines of a system on the map, and what is outside: nodes for them, and edges from the services that use them.

Which service uses what is known by its checks and its figures; how often and how fast, from spans of kept traces.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from soukapi.v1 import fleet_pb2

from souk.console.pages.telemetry.calls import FEW, MANY
from souk.console.telemetry.queries.engines import BROKERS, EngineCalls, EngineUse

POSTGRES, SQLITE, VALKEY, BROKER = "postgres", "sqlite", "valkey", "broker"
_BUS = "bus"
ENGINES = frozenset(
    {POSTGRES, SQLITE, VALKEY, BROKER, _BUS, "elasticsearch", "opensearch", "kafka", "rabbitmq", "aws_sqs"}
)
"""What is an engine, also where no process of the system is one."""
_NAMES = {"postgresql": POSTGRES, "redis": VALKEY}
"""What OpenTelemetry calls an engine, by our name for it."""
_DATABASE = "'s database"
"""How the check of a service's database ends."""
LATE = 60.0
"""Seconds from which on a pending event is late."""

Edge = dict[str, Any]


def engine_edges(processes: Iterable[fleet_pb2.FleetProcess], use: EngineUse) -> list[Edge]:
    """Gives an edge from each service to each engine that it uses, and from a broker to each service that it feeds."""
    processes = list(processes)
    engines = {one.service for one in processes if one.kind == fleet_pb2.PROCESS_KIND_ENGINE}
    broker = _broker(engines, use)
    found: dict[tuple[str, str], Edge] = {}
    for service, check in _checks(processes):
        if check.name.endswith(_DATABASE):
            owner = check.name.removesuffix(_DATABASE)
            _edge(found, owner, POSTGRES if POSTGRES in engines or owner in use.pools else SQLITE, check)
        elif check.name == "broker" and service:
            _edge(found, service, broker, check)
    if VALKEY in engines:
        for service in use.caches:
            _edge(found, service, VALKEY)
    for one in use.calls:
        _measure(_edge(found, one.service, _named(one.engine, broker)), one)
    for service in use.at_broker:
        _edge(found, broker, service)
    _note(found, use, broker)
    return [found[pair] for pair in sorted(found)]


def _checks(
    processes: Iterable[fleet_pb2.FleetProcess],
) -> Iterable[tuple[str, fleet_pb2.HealthCheck]]:
    """Gives every check with the service whose process has it; a system of one process is no service."""
    for one in processes:
        service = "" if one.kind == fleet_pb2.PROCESS_KIND_SYSTEM else one.service
        yield from ((service, check) for check in one.status.checks)


def _broker(engines: Iterable[str], use: EngineUse) -> str:
    if _BUS in engines:
        return _BUS
    return next((one.engine.removeprefix(BROKERS) for one in use.calls if one.engine.startswith(BROKERS)), BROKER)


def _named(engine: str, broker: str) -> str:
    """Gives the name of an engine's node."""
    return broker if engine.startswith(BROKERS) else _NAMES.get(engine, engine)


def _edge(
    found: dict[tuple[str, str], Edge], caller: str, callee: str, check: fleet_pb2.HealthCheck | None = None
) -> Edge:
    start = {"caller": caller, "callee": callee, "tone": "good", "open": [], "notes": [], "rate": 0.0, "failures": 0.0}
    edge = found.setdefault((caller, callee), {**start, "p50": None, "p99": None, "engine": True, "events": False})
    if check is not None and not check.well:
        edge["tone"] = "bad"
        edge["notes"].append(check.detail)
    return edge


def _measure(edge: Edge, one: EngineCalls) -> None:
    edge |= {"rate": one.rate, "failures": one.failures, "p50": one.p50, "p99": one.p99}
    failing = one.failures / one.rate if one.rate else 0.0
    if failing >= FEW and edge["tone"] != "bad":
        edge["tone"] = "bad" if failing >= MANY else "warn"


def _note(found: Mapping[tuple[str, str], Edge], use: EngineUse, broker: str) -> None:
    """Says at an edge what figures say of it: its pool, its cache, and events that wait."""
    for (caller, callee), edge in found.items():
        if callee == POSTGRES and (pool := use.pools.get(caller)):
            busy, most = pool.get("busy", 0), pool.get("most", 0)
            edge["notes"].append(f"{busy:.0f} of {most:.0f} connections busy")
            _warn(edge, most > 0 and busy >= most)
        if callee == VALKEY and caller in use.caches:
            memory, every = use.caches[caller]
            edge["notes"].append(f"{every:.1f} reads/s of its cache, {memory:.1f} from memory")
        edge["events"] |= callee == broker
        if callee == broker and (waits := use.waiting.get(caller)):
            late = f"{waits[0]:.0f} events wait in its outbox, the oldest for {waits[1]:.0f} s"
            edge["notes"].append(late if waits[0] else "its outbox is empty")
            _warn(edge, waits[1] >= LATE)
        if caller == broker and callee in use.at_broker:
            edge["events"] = True
            left = use.at_broker[callee]
            edge["notes"].append(f"{left:.0f} events are still to be handled" if left else "every event is handled")


def _warn(edge: Edge, when: bool) -> None:
    if when and edge["tone"] == "good":
        edge["tone"] = "warn"
