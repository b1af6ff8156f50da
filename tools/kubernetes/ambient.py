"""What Istio's ambient mode needs beside the exported policy: its proxies are a ztunnel on each node and a waypoint."""

from collections.abc import Iterator

from calls import callees_of
from names import GATEWAY, METRICS, SERVICES, SYSTEM, labels, selector
from network import policy, ports
from pods import Manifest

from souk.mesh.export.cluster import Cluster, Resource
from souk.mesh.export.istio.access import WAYPOINT

HBONE = 15008
"""The port at which a ztunnel takes the connections of a pod, in the network of that pod, and a waypoint its own."""
PROBES = "169.254.7.127/32"
"""The address that ambient mode gives the probes of a kubelet, by which a ztunnel knows them."""
_PART_OF = {"app.kubernetes.io/part-of": SYSTEM}
_SECURITY = "security.istio.io/v1"


def ambient_policies() -> Iterator[Manifest]:
    """Gives what the network has to let through: each call goes to the waypoint, and from there to the callee.

    Pods ask no control plane: the ztunnel does, from a pod of its own.
    """
    waypoint = {"podSelector": {"matchLabels": {"gateway.networking.k8s.io/gateway-name": WAYPOINT}}}
    probes = [{"from": [{"ipBlock": {"cidr": PROBES}}], "ports": ports(METRICS)}]
    yield policy("souk-probes", {}, _PART_OF, probes, None)
    for service in SERVICES:
        yield _through(service.name, "service", [{"from": [waypoint], "ports": ports(HBONE)}], waypoint)
    # An ingress in the mesh may be anywhere.
    yield _through(GATEWAY, "gateway", [{"ports": ports(HBONE)}], waypoint)


def _through(name: str, component: str, incoming: list[Manifest], waypoint: Manifest) -> Manifest:
    outgoing = [{"to": [waypoint], "ports": ports(HBONE)}] if callees_of(name) else None
    return policy(f"{name}-mesh", labels(name, component), selector(name), incoming, outgoing)


def metrics_are_read(cluster: Cluster) -> Iterator[Resource]:
    """Lets the port of metrics be read without an identity in the mesh.

    A sidecar leaves a port out when its pod says so; a ztunnel does not, and would refuse what is not by mutual TLS
    and from the waypoint.
    """
    pods = {"selector": {"matchLabels": _PART_OF}}
    open_port = {"mtls": {"mode": "STRICT"}, "portLevelMtls": {str(METRICS): {"mode": "PERMISSIVE"}}}
    yield cluster.resource(_SECURITY, "PeerAuthentication", "metrics", {**pods, **open_port})
    rules = [{"to": [{"operation": {"ports": [str(METRICS)]}}]}]
    yield cluster.resource(_SECURITY, "AuthorizationPolicy", "metrics", {**pods, "action": "ALLOW", "rules": rules})
