"""DestinationRules: balancing, limits, ejection and the budget of retries for each service."""

from collections.abc import Iterator
from typing import Any

from souk.mesh.export.cluster import Cluster, Resource, duration, percent
from souk.mesh.export.grouping import grouped
from souk.mesh.export.istio.routes import own_of, subset_of
from souk.mesh.policy.policy import CallLimits, Ejection, ServiceRules

_SWEEP = "1s"
"""How often Envoy lets instances back whose ejection is over."""


def destination_rule(cluster: Cluster, service: str, rules: ServiceRules) -> Resource:
    """Makes the DestinationRule of a service, with a subset for each version and each method with limits of its own."""
    spec: dict[str, Any] = {"host": cluster.host(service), "trafficPolicy": _traffic(rules)}
    if subsets := list(_subsets(rules)):
        spec["subsets"] = subsets
    return cluster.resource("networking.istio.io/v1", "DestinationRule", service, spec)


def _traffic(rules: ServiceRules) -> dict[str, Any]:
    balancer: dict[str, Any] = {"simple": "LEAST_REQUEST"}
    if rules.locality is not None:
        balancer["localityLbSetting"] = {"enabled": True}
    traffic: dict[str, Any] = {"tls": {"mode": "ISTIO_MUTUAL"}, "loadBalancer": balancer}
    if rules.limits is not None:
        traffic["connectionPool"] = _pool(rules.limits)
    traffic["outlierDetection"] = _ejection(rules.ejection)
    if rules.budget is not None and any(one.tries is not None for one in rules.methods.values()):
        traffic["retryBudget"] = {
            "percent": percent(rules.budget.share),
            "minRetryConcurrency": rules.budget.minimum,
        }
    return traffic


def _pool(limits: CallLimits) -> dict[str, Any]:
    pool: dict[str, Any] = {}
    if limits.connections is not None:
        pool["tcp"] = {"maxConnections": limits.connections}
    http = {"http2MaxRequests": limits.requests, "http1MaxPendingRequests": limits.pending}
    if given := {name: value for name, value in http.items() if value is not None}:
        pool["http"] = given
    return pool


def _ejection(ejection: Ejection | None) -> dict[str, Any]:
    if ejection is None:
        return {"consecutive5xxErrors": 0}  # said, because it is on by default
    return {
        "consecutive5xxErrors": ejection.failures,
        "interval": _SWEEP,
        "baseEjectionTime": duration(ejection.ejected_for),
        "maxEjectionPercent": int(percent(ejection.most)),
    }


def _subsets(rules: ServiceRules) -> Iterator[dict[str, Any]]:
    for version in rules.versions:
        yield {"name": version, "labels": {"version": version}}
    for group in grouped(rules):
        if group.rules.limits is None:
            continue
        own = {"trafficPolicy": {"connectionPool": _pool(group.rules.limits)}}
        versions = sorted(group.rules.split.versions) if group.rules.split is not None else []
        if group.rules.split is None or not group.rules.split.weights:
            yield {"name": own_of(group), **own}
        for version in versions:
            yield {"name": subset_of(own_of(group), version), "labels": {"version": version}, **own}
