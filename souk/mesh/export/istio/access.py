"""Who may call whom in Istio: mutual TLS alone, and for each service the callers of each method.

A sidecar checks what is said of its pod. In ambient mode the waypoint checks what is said of a Service, and the pods
take connections from the waypoint alone.
"""

from collections.abc import Iterator
from typing import Any

from souk.gateway.settings import GATEWAY_SERVICE
from souk.mesh.export.cluster import Cluster, Resource, pods_of
from souk.mesh.policy.who_may_call import WhoMayCall

WAYPOINT = "waypoint"
_SECURITY = "security.istio.io/v1"
_GATEWAY = "gateway.networking.k8s.io/v1"


def namespace(cluster: Cluster, *, ambient: bool) -> Resource:
    """Makes the namespace, whose labels bring its pods into the mesh."""
    labels = {"istio-injection": "enabled"}
    if ambient:
        labels = {"istio.io/dataplane-mode": "ambient", "istio.io/use-waypoint": WAYPOINT}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": cluster.namespace, "labels": labels}}


def mutual_tls(cluster: Cluster) -> Resource:
    """Makes the PeerAuthentication of the namespace: nothing without mutual TLS."""
    return cluster.resource(_SECURITY, "PeerAuthentication", "default", {"mtls": {"mode": "STRICT"}})


def waypoint(cluster: Cluster) -> Resource:
    """Makes the waypoint through which calls to the services of the namespace go in ambient mode."""
    spec = {
        "gatewayClassName": "istio-waypoint",
        "listeners": [{"name": "mesh", "port": 15008, "protocol": "HBONE"}],
    }
    resource = cluster.resource(_GATEWAY, "Gateway", WAYPOINT, spec)
    labels = {"istio.io/waypoint-for": "service"}
    return {**resource, "metadata": {**resource["metadata"], "labels": labels}}


def policies(cluster: Cluster, service: str, who: WhoMayCall, *, ambient: bool) -> Iterator[Resource]:
    """Makes the AuthorizationPolicies of a service; whoever none of their rules names is refused."""
    rules = [
        {
            "from": [{"source": {"principals": [_principal(cluster, one) for one in sorted(callers)]}}],
            "to": [{"operation": {"methods": ["POST"], "paths": list(methods)}}],
        }
        for callers, methods in who.by_callers(service).items()
        if callers
    ]
    spec: dict[str, Any] = {"action": "ALLOW", "rules": rules}
    if not ambient:
        yield cluster.resource(_SECURITY, "AuthorizationPolicy", service, {"selector": _pods(service), **spec})
        return
    reference = {"targetRefs": [{"group": "", "kind": "Service", "name": service}]}
    yield cluster.resource(_SECURITY, "AuthorizationPolicy", service, {**reference, **spec})
    through = {"from": [{"source": {"principals": [_principal(cluster, WAYPOINT)]}}]}
    only = {"selector": _pods(service), "action": "ALLOW", "rules": [through]}
    yield cluster.resource(_SECURITY, "AuthorizationPolicy", f"{service}-through-waypoint", only)


def gateway_is_open(cluster: Cluster) -> Resource:
    """Makes the policy of our own gateway, which takes requests of all who reach it: it asks who they are itself."""
    spec = {"selector": _pods(GATEWAY_SERVICE), "action": "ALLOW", "rules": [{}]}
    return cluster.resource(_SECURITY, "AuthorizationPolicy", GATEWAY_SERVICE, spec)


def _pods(service: str) -> dict[str, Any]:
    return {"matchLabels": pods_of(service)}


def _principal(cluster: Cluster, account: str) -> str:
    return f"{cluster.trust_domain}/ns/{cluster.namespace}/sa/{account}"
