"""Where in a Kubernetes cluster the services are: the names by which what is exported refers to them.

Pods are labelled, and run as ServiceAccounts, as in deploy/kubernetes; the label `version` tells versions apart. What
is exported has a Service of its own for each service, of the service's name: meshes balance calls to one with an
address, and those of deploy/kubernetes have none.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Resource = Mapping[str, Any]
"""One resource of Kubernetes, as YAML has it."""

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Cluster:
    """The namespace of the services, the port on which they take calls, and that of the gateway.

    `ingress` is the Gateway of the Gateway API, as its namespace and its name, through which requests from outside
    come. `backend_ca` is a ConfigMap with the authority that has signed the certificate of our own gateway, if it
    speaks TLS.
    """

    namespace: str = "souk"
    port: int = 50051
    gateway_port: int = 80
    trust_domain: str = "cluster.local"
    ingress: tuple[str, str] | None = None
    backend_ca: str = ""

    def host(self, service: str) -> str:
        """Returns the name of a Service in the cluster's DNS."""
        return f"{service}.{self.namespace}.svc.cluster.local"

    def resource(
        self, version: str, kind: str, name: str, spec: Mapping[str, Any], annotations: Mapping[str, str] | None = None
    ) -> Resource:
        """Makes a resource in the namespace."""
        about: dict[str, Any] = {"name": name, "namespace": self.namespace}
        if annotations:
            about["annotations"] = dict(annotations)
        return {"apiVersion": version, "kind": kind, "metadata": about, "spec": dict(spec)}

    def service(self, name: str, pods: Mapping[str, str], annotations: Mapping[str, str] | None = None) -> Resource:
        """Makes the Service of some pods."""
        port = {"name": "grpc", "port": self.port, "appProtocol": "kubernetes.io/h2c"}
        return self.resource("v1", "Service", name, {"selector": dict(pods), "ports": [port]}, annotations)


def pods_of(service: str, version: str = "") -> dict[str, str]:
    """Returns the labels of the pods of a service, or of one of its versions."""
    return {"app.kubernetes.io/name": service, **({"version": version} if version else {})}


def of_version(service: str, version: str) -> str:
    """Returns the name of the Service of one version of a service."""
    return f"{service}-{version}"


def in_words(method: str) -> str:
    """Returns the name of a method for names of resources: `place-order` of `PlaceOrder`."""
    return _WORDS.sub("-", method.rpartition("/")[2]).lower()


def duration(seconds: float) -> str:
    """Returns a time as Kubernetes' resources have it, in whole milliseconds: `5s`, `250ms`."""
    milliseconds = max(1, round(seconds * 1000))
    whole, rest = divmod(milliseconds, 1000)
    return f"{milliseconds}ms" if rest else f"{whole}s"


def percent(share: float) -> float:
    """Returns a share as a percentage, without a fraction where it has none."""
    value = round(share * 100, 4)
    return int(value) if value == int(value) else value
