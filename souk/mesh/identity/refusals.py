"""Workloads that an operator has refused: they get no certificate, and access rules deny those that they still have."""

from collections.abc import Mapping
from dataclasses import dataclass

from souk.mesh.identity.spiffe import Workload, instance_name, service_id

SERVICE, INSTANCE = "service", "instance"


@dataclass(frozen=True, slots=True)
class WorkloadRefusal:
    """Refuses a service or an instance, by its `kind` and name, since a date in seconds since 1970."""

    kind: str
    name: str
    since: int
    reason: str


@dataclass(frozen=True, slots=True)
class DeniedNames:
    """What access rules deny: URIs and DNS names in certificates that may still be valid."""

    spiffe_ids: frozenset[str]
    dns_names: frozenset[str]


Refusals = Mapping[str, WorkloadRefusal]
"""Refusals by `key_of`."""


def key_of(kind: str, name: str) -> str:
    """Gives the key of a service or an instance."""
    return f"{kind}/{name}"


def refusal_of(refusals: Refusals, workload: Workload) -> WorkloadRefusal | None:
    """Finds why a workload is refused: it itself, or its service."""
    return refusals.get(key_of(SERVICE, workload.service)) or refusals.get(key_of(INSTANCE, workload.instance))


def denied_names(refusals: Refusals, trust_domain: str) -> DeniedNames:
    """Gives the names in certificates of refused workloads."""
    return DeniedNames(
        frozenset(service_id(trust_domain, each.name) for each in refusals.values() if each.kind == SERVICE),
        frozenset(instance_name(trust_domain, each.name) for each in refusals.values() if each.kind == INSTANCE),
    )
