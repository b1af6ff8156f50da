"""VirtualServices: what happens to the calls of each method."""

from collections.abc import Iterator, Mapping
from typing import Any

from souk.mesh.export.cluster import Cluster, Resource, duration, in_words, percent
from souk.mesh.export.grouping import MethodGroup, grouped
from souk.mesh.export.targets import ISTIO_CONDITIONS
from souk.mesh.policy.policy import HeaderRule, MethodRules, RetryOn, ServiceRules, TryRules

ONE_TRY: Mapping[str, Any] = {"attempts": 0}
"""Said in every route without tries: without it Istio tries twice again, whatever the method."""


def virtual_service(cluster: Cluster, service: str, rules: ServiceRules) -> Resource:
    """Makes the VirtualService of a service."""
    routes = [route for group in grouped(rules) for route in _routes(cluster, service, group)]
    rest = {"name": "others", "route": _destinations(cluster, service, {}, ""), "retries": dict(ONE_TRY)}
    spec = {"hosts": [cluster.host(service)], "http": [*routes, rest]}
    return cluster.resource("networking.istio.io/v1", "VirtualService", service, spec)


def subset_of(method: str, version: str) -> str:
    """Returns the name of a subset: of a version, of a method with limits of its own, or of both."""
    return "-".join(part for part in (method, version) if part)


def own_of(group: MethodGroup) -> str:
    """Returns the part of a subset's name that a method with limits of its own gives; empty for others."""
    return in_words(group.methods[0]) if group.rules.limits is not None else ""


def _routes(cluster: Cluster, service: str, group: MethodGroup) -> Iterator[dict[str, Any]]:
    name, rules = in_words(group.methods[0]), group.rules
    for number, (header, weights) in enumerate(group.routes):
        route: dict[str, Any] = {"name": f"{name}-{number}" if header is not None else name}
        route["match"] = [_match(method, header) for method in group.methods]
        route |= _faults(rules)
        if group.time_limit is not None:
            route["timeout"] = duration(group.time_limit)
        route["retries"] = dict(ONE_TRY) if rules.tries is None else _retries(rules, rules.tries)
        route["route"] = _destinations(cluster, service, weights, own_of(group))
        if rules.mirror is not None:
            copies = _destination(cluster, service, subset_of("", rules.mirror.version))
            route["mirrors"] = [{"destination": copies, "percentage": {"value": percent(rules.mirror.share)}}]
        yield route


def _match(method: str, header: HeaderRule | None) -> dict[str, Any]:
    match: dict[str, Any] = {"uri": {"exact": method}}
    if header is not None:
        match["headers"] = {header.name: {"exact": header.value}}
    return match


def _retries(rules: MethodRules, tries: TryRules) -> dict[str, Any]:
    retries: dict[str, Any] = {"attempts": tries.attempts - 1}
    if rules.try_timeout is not None:
        retries["perTryTimeout"] = duration(rules.try_timeout)
    retries["retryOn"] = ",".join(ISTIO_CONDITIONS[one] for one in RetryOn if one in tries.on)
    # Without a backoff Envoy waits 25 ms: its shortest is said instead.
    retries["backoff"] = duration(tries.backoff.initial) if tries.backoff is not None else "1ms"
    return retries


def _faults(rules: MethodRules) -> dict[str, Any]:
    fault: dict[str, Any] = {}
    if rules.delay is not None:
        fault["delay"] = {
            "percentage": {"value": percent(rules.delay.share)},
            "fixedDelay": duration(rules.delay.seconds),
        }
    if rules.abort is not None:
        fault["abort"] = {"percentage": {"value": percent(rules.abort.share)}, "grpcStatus": rules.abort.code.name}
    return {"fault": fault} if fault else {}


def _destinations(cluster: Cluster, service: str, weights: Mapping[str, int], own: str) -> list[dict[str, Any]]:
    if not weights:
        return [{"destination": _destination(cluster, service, own)}]
    return [
        {"destination": _destination(cluster, service, subset_of(own, version)), "weight": weight}
        for version, weight in weights.items()
    ]


def _destination(cluster: Cluster, service: str, subset: str) -> dict[str, Any]:
    found: dict[str, Any] = {"host": cluster.host(service), "port": {"number": cluster.port}}
    if subset:
        found["subset"] = subset
    return found
