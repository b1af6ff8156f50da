"""What leads from outside to our own gateway: the route from an ingress, the leave to refer to it, and its TLS."""

from collections.abc import Iterator

from souk.gateway.settings import GATEWAY_SERVICE
from souk.mesh.export.cluster import Cluster, Resource

_GROUP = "gateway.networking.k8s.io"


def outside(cluster: Cluster) -> Iterator[Resource]:
    """Makes the route from the ingress, if the cluster has one, and a BackendTLSPolicy, if our gateway speaks TLS."""
    if cluster.ingress is not None:
        namespace, name = cluster.ingress
        yield _route(cluster, namespace, name)
        if namespace != cluster.namespace:
            yield _grant(cluster, namespace)
    if cluster.backend_ca:
        yield _tls(cluster)


def _route(cluster: Cluster, namespace: str, name: str) -> Resource:
    backend = {"name": GATEWAY_SERVICE, "namespace": cluster.namespace, "port": cluster.gateway_port}
    spec = {"parentRefs": [{"name": name}], "rules": [{"backendRefs": [backend]}]}
    about = {"name": f"{cluster.namespace}-{GATEWAY_SERVICE}", "namespace": namespace}
    return {"apiVersion": f"{_GROUP}/v1", "kind": "HTTPRoute", "metadata": about, "spec": spec}


def _grant(cluster: Cluster, namespace: str) -> Resource:
    spec = {
        "from": [{"group": _GROUP, "kind": "HTTPRoute", "namespace": namespace}],
        "to": [{"group": "", "kind": "Service", "name": GATEWAY_SERVICE}],
    }
    return cluster.resource(f"{_GROUP}/v1beta1", "ReferenceGrant", f"{GATEWAY_SERVICE}-from-{namespace}", spec)


def _tls(cluster: Cluster) -> Resource:
    authority = {"group": "", "kind": "ConfigMap", "name": cluster.backend_ca}
    spec = {
        "targetRefs": [{"group": "", "kind": "Service", "name": GATEWAY_SERVICE}],
        "validation": {"caCertificateRefs": [authority], "hostname": cluster.host(GATEWAY_SERVICE)},
    }
    return cluster.resource(f"{_GROUP}/v1", "BackendTLSPolicy", GATEWAY_SERVICE, spec)
