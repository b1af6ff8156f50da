"""What a caller's proxy does with calls: Services with annotations, and GRPCRoutes whose parent is a Service."""

from collections.abc import Iterator, Mapping
from typing import Any

from souk.mesh.export.cluster import Cluster, Resource, duration, in_words, of_version, pods_of
from souk.mesh.export.grouping import MethodGroup, grouped
from souk.mesh.export.routes import backends, service_parent
from souk.mesh.export.targets import LINKERD_CONDITIONS
from souk.mesh.policy.policy import Ejection, RetryOn, ServiceRules

ROUTE = "gateway.networking.k8s.io/v1"
_ACCRUAL = "balancer.linkerd.io/failure-accrual"


def services(cluster: Cluster, service: str, rules: ServiceRules) -> Iterator[Resource]:
    """Makes the Service of a service and one for each of its versions, with when instances are ejected."""
    annotations = _ejection(rules.ejection)
    yield cluster.service(service, pods_of(service), annotations)
    for version in rules.versions:
        yield cluster.service(of_version(service, version), pods_of(service, version), annotations)


def routes(cluster: Cluster, service: str, rules: ServiceRules) -> Iterator[Resource]:
    """Makes the GRPCRoutes of a service: one for each group of methods, and one for all else that is called."""
    for group in grouped(rules):
        spec = {"parentRefs": [service_parent(cluster, service)], "rules": list(_rules(cluster, service, group))}
        yield cluster.resource(ROUTE, "GRPCRoute", _name(service, group), spec, _annotations(group))
    others = {
        "parentRefs": [service_parent(cluster, service)],
        "rules": [{"backendRefs": backends(cluster, service, {})}],
    }
    yield cluster.resource(ROUTE, "GRPCRoute", f"{service}-others", others)


def _name(service: str, group: MethodGroup) -> str:
    return f"{service}-{in_words(group.methods[0])}"


def _rules(cluster: Cluster, service: str, group: MethodGroup) -> Iterator[dict[str, Any]]:
    for header, weights in group.routes:
        matches = [grpc_match(method) for method in group.methods]
        if header is not None:
            wanted = [{"name": header.name, "value": header.value}]
            matches = [{**match, "headers": wanted} for match in matches]
        yield {"matches": matches, "backendRefs": backends(cluster, service, weights)}


def grpc_match(method: str) -> dict[str, Any]:
    """Returns the match of a method by its full name."""
    service, _, name = method.removeprefix("/").partition("/")
    return {"method": {"service": service, "method": name}}


def _annotations(group: MethodGroup) -> Mapping[str, str]:
    found: dict[str, str] = {}
    tries, rules = group.rules.tries, group.rules
    if group.time_limit is not None:
        found["timeout.linkerd.io/request"] = duration(group.time_limit)
    if tries is not None:
        found["retry.linkerd.io/grpc"] = ",".join(LINKERD_CONDITIONS[one] for one in RetryOn if one in tries.on)
        found["retry.linkerd.io/limit"] = str(tries.attempts - 1)
        if rules.try_timeout is not None:
            found["retry.linkerd.io/timeout"] = duration(rules.try_timeout)
    return found


def _ejection(ejection: Ejection | None) -> Mapping[str, str]:
    if ejection is None:
        return {}
    return {
        _ACCRUAL: "consecutive",
        f"{_ACCRUAL}-consecutive-max-failures": str(ejection.failures),
        f"{_ACCRUAL}-consecutive-min-penalty": duration(ejection.ejected_for),
        f"{_ACCRUAL}-consecutive-max-penalty": duration(ejection.longest),
        f"{_ACCRUAL}-consecutive-jitter-ratio": "0",
    }
