"""What routes of the Gateway API have in common, whichever mesh reads them."""

from collections.abc import Mapping
from typing import Any

from souk.mesh.export.cluster import Cluster, of_version


def service_parent(cluster: Cluster, service: str) -> dict[str, Any]:
    """Returns the reference to a Service as the parent of a route: the calls to it."""
    return {"group": "", "kind": "Service", "name": service, "port": cluster.port}


def backends(cluster: Cluster, service: str, weights: Mapping[str, int]) -> list[dict[str, Any]]:
    """Returns the Services that take calls, by their weights: those of versions, or the service's own."""
    if not weights:
        return [{"name": service, "port": cluster.port}]
    return [
        {"name": of_version(service, version), "port": cluster.port, "weight": weight}
        for version, weight in weights.items()
    ]
