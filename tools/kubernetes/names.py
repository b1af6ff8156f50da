"""Names, numbers and paths that the manifests have in common."""

from math import ceil

from marketplace.app.app import app
from souk.discovery.external.dns import LATEST
from souk.gateway.settings import GATEWAY_SERVICE
from souk.runtime.config.settings import Settings
from souk.runtime.service import Service

SYSTEM = "souk"
"""The value of the label `part-of`, and the first word of names that belong to no single service."""
IMAGE = "souk"
CONTAINER = "souk"
USER = 10001
SERVICES: tuple[Service, ...] = tuple(sorted(app.services, key=lambda one: one.name))
GATEWAY = GATEWAY_SERVICE

GRPC, HTTP, METRICS = 50051, 8080, 9090
"""The ports of a service, of the gateway, and of the metrics and probes of both."""

DRAIN = ceil(Settings().process.drain)
"""Seconds that running requests get: SOUK_DRAIN's default, which settings.env repeats."""
ENDPOINTS = 5
"""Seconds that a cluster may take to forget the address of a pod that ends."""
FORGOTTEN = ceil(LATEST) + ENDPOINTS
"""Seconds after which nobody has a pod's address any more: a caller asks DNS again after LATEST at the latest."""
CLOSING = 10
"""Seconds for what follows the drain: leases, databases, the last spans."""
GRACE = FORGOTTEN + DRAIN + CLOSING

WAIT_FOR_SCHEMA = 300
"""Seconds that a pod waits for its schema before it is counted as failed, and begins to wait again."""

RUN = "/run/souk"
DATA = "/var/lib/souk"


def labels(name: str, component: str) -> dict[str, str]:
    """Gives the labels of what belongs to one workload."""
    return {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/part-of": SYSTEM,
        "app.kubernetes.io/component": component,
    }


def selector(name: str) -> dict[str, str]:
    """Gives the labels that select a workload's pods; they never change."""
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": SYSTEM}


def dns_name(service: str) -> str:
    """Gives the name of a service's headless Service, as the registry's URL in `REGISTRY` has it."""
    return f"{service}-service"


REGISTRY = f"dns:///$(POD_NAMESPACE).svc.cluster.local?name={dns_name('{service}')}"
