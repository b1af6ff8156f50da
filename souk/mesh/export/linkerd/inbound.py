"""Whom a callee's proxy lets in: a Server that refuses all, and for each set of callers the methods that it may call.

Probes of health come from nodes without an identity, so everyone may ask for health.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from souk.mesh.export.cluster import Cluster, Resource, pods_of
from souk.mesh.export.linkerd.outbound import ROUTE, grpc_match
from souk.mesh.policy.methods import health_methods
from souk.mesh.policy.who_may_call import WhoMayCall

_GROUP = "policy.linkerd.io"
_V1ALPHA1 = f"{_GROUP}/v1alpha1"
ANYWHERE = "anywhere"


def anywhere(cluster: Cluster) -> Resource:
    """Makes the NetworkAuthentication of everyone, for probes."""
    networks = {"networks": [{"cidr": "0.0.0.0/0"}, {"cidr": "::/0"}]}
    return cluster.resource(_V1ALPHA1, "NetworkAuthentication", ANYWHERE, networks)


def identities(cluster: Cluster, callers: Sequence[str]) -> Resource:
    """Makes the MeshTLSAuthentication of these callers, of which any will do."""
    references = [{"kind": "ServiceAccount", "name": caller} for caller in callers]
    return cluster.resource(_V1ALPHA1, "MeshTLSAuthentication", named(callers), {"identityRefs": references})


def named(callers: Sequence[str]) -> str:
    """Returns the name of a set of callers."""
    return "-or-".join(callers)


def server(cluster: Cluster, service: str) -> Resource:
    """Makes the Server of a service, which refuses what no AuthorizationPolicy allows."""
    spec = {
        "podSelector": {"matchLabels": pods_of(service)},
        "port": cluster.port,
        "proxyProtocol": "gRPC",
        "accessPolicy": "deny",
    }
    return cluster.resource(f"{_GROUP}/v1beta3", "Server", service, spec)


def access(cluster: Cluster, service: str, who: WhoMayCall) -> Iterator[Resource]:
    """Makes, for each set of callers, the route of the methods that they may call, and the policy that lets them."""
    for callers, methods in callers_of(service, who):
        yield from _allowed(cluster, service, named(callers), methods, "MeshTLSAuthentication", named(callers))
    yield from _allowed(cluster, service, ANYWHERE, sorted(health_methods()), "NetworkAuthentication", ANYWHERE)


def callers_of(service: str, who: WhoMayCall) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Gives each set of callers of a service, sorted, with the methods that they may call; without those of health."""
    health = health_methods()
    for callers, methods in who.by_callers(service).items():
        own = [method for method in methods if method not in health]
        if callers and own:
            yield tuple(sorted(callers)), own


def _allowed(
    cluster: Cluster, service: str, by: str, methods: Sequence[str], kind: str, authentication: str
) -> Iterator[Resource]:
    name = f"{service}-by-{by}"
    parent: dict[str, Any] = {"group": _GROUP, "kind": "Server", "name": service}
    rules = [{"matches": [grpc_match(method) for method in methods]}]
    yield cluster.resource(ROUTE, "GRPCRoute", name, {"parentRefs": [parent], "rules": rules})
    spec = {
        "targetRef": {"group": "gateway.networking.k8s.io", "kind": "GRPCRoute", "name": name},
        "requiredAuthenticationRefs": [{"group": _GROUP, "kind": kind, "name": authentication}],
    }
    yield cluster.resource(_V1ALPHA1, "AuthorizationPolicy", name, spec)
