"""Routes between services, and who may connect.

The calls to a Service have routes of one kind: HTTPRoute where a time-out is given, which GRPCRoute cannot say, and
GRPCRoute otherwise. Methods of one service must not have both.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from souk.mesh.export.cluster import Cluster, Resource, duration, in_words, of_version, percent, pods_of
from souk.mesh.export.grouping import MethodGroup, grouped
from souk.mesh.export.routes import backends, service_parent
from souk.mesh.policy.policy import HeaderRule, ServiceRules
from souk.mesh.policy.who_may_call import WhoMayCall

ROUTE = "gateway.networking.k8s.io/v1"
_WHOLE = 100


def services(cluster: Cluster, service: str, rules: ServiceRules) -> Iterator[Resource]:
    """Makes the Service of a service and one for each of its versions, to which its routes refer."""
    yield cluster.service(service, pods_of(service))
    for version in rules.versions:
        yield cluster.service(of_version(service, version), pods_of(service, version))


def routes(cluster: Cluster, service: str, rules: ServiceRules) -> Iterator[Resource]:
    """Makes the routes of a service: one for each group of methods, and one for all else that is called."""
    timed = any(one.timeout is not None or one.try_timeout is not None for one in rules.methods.values())
    kind = "HTTPRoute" if timed else "GRPCRoute"
    parents = [service_parent(cluster, service)]
    for group in grouped(rules):
        entries = list(_rules(cluster, service, group, kind))
        name = f"{service}-{in_words(group.methods[0])}"
        yield cluster.resource(ROUTE, kind, name, {"parentRefs": parents, "rules": entries})
    others = {"parentRefs": parents, "rules": [{"backendRefs": backends(cluster, service, {})}]}
    yield cluster.resource(ROUTE, kind, f"{service}-others", others)


def who_may_connect(cluster: Cluster, service: str, who: WhoMayCall) -> Resource:
    """Makes the NetworkPolicy of a service: pods of those who may call some method of it may connect."""
    callers = [{"podSelector": {"matchLabels": pods_of(caller)}} for caller in sorted(who.callers_of(service))]
    spec = {
        "podSelector": {"matchLabels": pods_of(service)},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": callers, "ports": [{"protocol": "TCP", "port": cluster.port}]}],
    }
    return cluster.resource("networking.k8s.io/v1", "NetworkPolicy", f"{service}-callers", spec)


def _rules(cluster: Cluster, service: str, group: MethodGroup, kind: str) -> Iterator[dict[str, Any]]:
    for header, weights in group.routes:
        match = _http_match if kind == "HTTPRoute" else _grpc_match
        rule: dict[str, Any] = {"matches": [match(method, header) for method in group.methods]}
        if group.rules.mirror is not None:
            rule["filters"] = [_mirror(cluster, service, group)]
        rule["backendRefs"] = backends(cluster, service, weights)
        if timeouts := _timeouts(group):
            rule["timeouts"] = timeouts
        yield rule


def _http_match(method: str, header: HeaderRule | None) -> dict[str, Any]:
    return {"path": {"type": "Exact", "value": method}, "method": "POST", **_headers(header)}


def _grpc_match(method: str, header: HeaderRule | None) -> dict[str, Any]:
    service, _, name = method.removeprefix("/").partition("/")
    return {"method": {"service": service, "method": name}, **_headers(header)}


def _headers(header: HeaderRule | None) -> Mapping[str, Any]:
    return {} if header is None else {"headers": [{"name": header.name, "value": header.value}]}


def _timeouts(group: MethodGroup) -> dict[str, str]:
    rules, found = group.rules, dict[str, str]()
    if rules.timeout is not None:
        found["request"] = duration(rules.timeout)
    if rules.try_timeout is not None and rules.try_timeout != rules.timeout:
        found["backendRequest"] = duration(rules.try_timeout)
    return found


def _mirror(cluster: Cluster, service: str, group: MethodGroup) -> dict[str, Any]:
    mirror = group.rules.mirror
    assert mirror is not None
    copies: dict[str, Any] = {"backendRef": {"name": of_version(service, mirror.version), "port": cluster.port}}
    share = percent(mirror.share)
    if share != int(share):
        copies["fraction"] = {"numerator": round(mirror.share * _WHOLE * _WHOLE), "denominator": _WHOLE * _WHOLE}
    elif share < _WHOLE:
        copies["percent"] = int(share)
    return {"type": "RequestMirror", "requestMirror": copies}
