"""Who may connect to whom: nothing by default, then what the services declare."""

from collections.abc import Iterable, Iterator

from calls import callees_of, callers_of
from names import GATEWAY, GRPC, HTTP, METRICS, SERVICES, SYSTEM, labels, selector
from pods import Manifest

DATABASE = 5432
SERVERS = (6379, 5672, 5671, 9092, 9200)
"""Ports of Redis or Valkey, of brokers and of search engines."""
OUTSIDE: dict[str, tuple[int, ...]] = {"payment": (443,), "notification": (25, 465, 587, 443)}
"""By service, ports outside the system: the card provider; mail, text messages and push services."""
MONITORING = "monitoring"
"""The namespace from which metrics are read."""
WITH_A_DATABASE = frozenset(service.name for service in SERVICES if service.migrations is not None)
_PART_OF = {"app.kubernetes.io/part-of": SYSTEM}


def policies() -> Iterator[Manifest]:
    """Gives all policies of the system."""
    yield policy("souk-default-deny", {}, _PART_OF, [], [])
    yield policy("souk-dns", {}, _PART_OF, None, [name_servers()])
    monitoring = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": MONITORING}}}
    yield policy("souk-metrics", {}, _PART_OF, [{"from": [monitoring], "ports": ports(METRICS)}], None)
    migrations = {**_PART_OF, "app.kubernetes.io/component": "migration"}
    yield policy("souk-migrations", {}, migrations, None, [{"ports": ports(DATABASE)}])
    yield policy(GATEWAY, labels(GATEWAY, "gateway"), selector(GATEWAY), [{"ports": ports(HTTP)}], egress(GATEWAY))
    for service in SERVICES:
        name = service.name
        incoming = [{"from": [peer(caller) for caller in callers_of(name)], "ports": ports(GRPC)}]
        yield policy(name, labels(name, "service"), selector(name), incoming, egress(name))


def egress(name: str) -> list[Manifest]:
    """Makes the rules for where a workload may connect to, apart from DNS."""
    callees = [peer(callee) for callee in callees_of(name)]
    rules: list[Manifest] = [{"to": callees, "ports": ports(GRPC)}] if callees else []
    database = (DATABASE,) if name in WITH_A_DATABASE else ()
    return [*rules, {"ports": ports(*database, *SERVERS, *OUTSIDE.get(name, ()))}]


def policy(
    name: str,
    own_labels: dict[str, str],
    pods: dict[str, str],
    incoming: list[Manifest] | None,
    outgoing: list[Manifest] | None,
) -> Manifest:
    """Makes a policy; None leaves a direction to other policies, and an empty list closes it."""
    directions = {"Ingress": incoming, "Egress": outgoing}
    rules = {kind.lower(): rules for kind, rules in directions.items() if rules}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "labels": own_labels or _PART_OF},
        "spec": {
            "podSelector": {"matchLabels": pods},
            "policyTypes": [kind for kind, rules in directions.items() if rules is not None],
            **rules,
        },
    }


def peer(name: str) -> Manifest:
    """Makes the peer that is a workload's pods in the same namespace."""
    return {"podSelector": {"matchLabels": selector(name)}}


def ports(*numbers: int) -> list[Manifest]:
    """Makes the ports of TCP."""
    return [{"protocol": "TCP", "port": number} for number in numbers]


def name_servers() -> Manifest:
    """Makes the rule for the cluster's DNS."""
    servers = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    both: Iterable[Manifest] = ({"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP"))
    return {"to": [servers], "ports": list(both)}
