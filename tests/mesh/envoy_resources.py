"""The resources of a small mesh: one listener at a unix socket, and clusters of servers at others."""

from pathlib import Path
from typing import Any

from souk.mesh.envoy.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES, Resource, resource

EXTENSIONS = "type.googleapis.com/envoy.extensions.filters"
ADS = {"ads": {}, "resource_api_version": "V3"}


def cluster(name: str, **more: Any) -> Resource:
    content = {"name": name, "type": "EDS", "eds_cluster_config": {"eds_config": ADS}, "connect_timeout": "1s"}
    return resource(CLUSTER, content | more)


def endpoints(name: str, *sockets: Path) -> Resource:
    ends = [{"endpoint": {"address": {"pipe": {"path": str(socket)}}}} for socket in sockets]
    return resource(ENDPOINTS, {"cluster_name": name, "endpoints": [{"lb_endpoints": ends}]})


def routes(name: str, to: str, **more: Any) -> Resource:
    host = {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": to}}]}
    return resource(ROUTES, {"name": name, "virtual_hosts": [host]} | more)


def listener(name: str, socket: Path, routes_name: str = "outbound", **chain_more: Any) -> Resource:
    manager = {
        "@type": f"{EXTENSIONS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "rds": {"route_config_name": routes_name, "config_source": ADS},
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{EXTENSIONS}.http.router.v3.Router"}}],
    }
    chain = {"filters": [{"name": "manager", "typed_config": manager}]} | chain_more
    content = {"name": name, "address": {"pipe": {"path": str(socket)}}, "filter_chains": [chain]}
    return resource(LISTENER, content)
