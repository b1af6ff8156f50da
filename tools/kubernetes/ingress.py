"""How requests get in, by the Gateway API: a Gateway with TLS, and the paths that the public may have."""

from collections.abc import Iterator

from names import GATEWAY, SERVICES, SYSTEM, labels
from pods import Manifest

from souk.descriptors.contract import Access, contract_of
from souk.gateway.app import OWN_PATHS
from souk.gateway.settings import CONSOLE_PATH

HOST = "shop.example"
CLOSED = frozenset(("/healthz", "/readyz", "/metrics", CONSOLE_PATH))
"""Paths of the gateway itself that are not for the public."""


def objects() -> Iterator[Manifest]:
    """Gives the Gateway and its route."""
    own = labels(GATEWAY, "gateway")
    yield {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": SYSTEM, "labels": own},
        "spec": {
            "gatewayClassName": SYSTEM,
            "listeners": [
                {
                    "name": "https",
                    "protocol": "HTTPS",
                    "port": 443,
                    "hostname": HOST,
                    "tls": {"certificateRefs": [{"name": "souk-public-tls"}]},
                    "allowedRoutes": {"namespaces": {"from": "Same"}},
                }
            ],
        },
    }
    yield {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": SYSTEM, "labels": own},
        "spec": {
            "parentRefs": [{"name": SYSTEM, "sectionName": "https"}],
            "hostnames": [HOST],
            "rules": [{"matches": matches(), "backendRefs": [{"name": GATEWAY, "port": 80}]}],
        },
    }


def matches() -> list[Manifest]:
    """Makes the matches of everything that the public may ask for."""
    exact = [{"path": {"type": "Exact", "value": path}} for path in OWN_PATHS if path not in CLOSED]
    return [*exact, *({"path": {"type": "PathPrefix", "value": path}} for path in prefixes())]


def prefixes() -> list[str]:
    """Gives the first segments of the paths of contracts' public methods, as REST and as calls, sorted."""
    found = set()
    for service in SERVICES:
        for method in contract_of(service.contract).methods.values():
            if method.policy.access in (Access.ANYONE, Access.CALLER):
                found |= {"/".join(path.split("/")[:2]) for path in (method.full_name, *(r.path for r in method.http))}
    return sorted(found)
