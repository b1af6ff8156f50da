"""What a policy uses: each feature, where, and with which value. The targets say which of them they can take over."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from souk.mesh.policy.policy import MeshPolicy, MethodRules, ServiceRules


class Feature(Enum):
    """One thing that a policy can say, by its name in the file."""

    WHO_MAY_CALL = "who may call"
    TIMEOUT = "timeout"
    TRY_TIMEOUT = "try_timeout"
    TRIES = "tries"
    ON = "tries.on"
    BACKOFF = "tries.backoff"
    BUDGET = "tries.budget"
    EJECTION = "ejection"
    LONGEST = "ejection.longest"
    MOST = "ejection.most"
    CONNECTIONS = "limits.connections"
    REQUESTS = "limits.requests"
    PENDING = "limits.pending"
    OWN_LIMITS = "limits of a method"
    WEIGHTS = "split.weights"
    HEADERS = "split.headers"
    MIRROR = "mirror"
    DELAY = "faults.delay"
    ABORT = "faults.abort"
    LOCALITY = "locality"
    ENOUGH = "locality.enough"


@dataclass(frozen=True, slots=True)
class Use:
    """A feature that the policy uses: `where` is a service, or a service and its method, as in "order/PlaceOrder"."""

    feature: Feature
    where: str
    value: Any


def used(policy: MeshPolicy) -> Iterator[Use]:
    """Gives everything that a policy uses. Who may call always is, and not among them."""
    for name, service in policy.services.items():
        yield from _of_a_service(name, service)
        for method, rules in service.methods.items():
            for feature, value in _of_a_method(rules):
                yield Use(feature, f"{name}/{method.rpartition('/')[2]}", value)


def _of_a_service(name: str, rules: ServiceRules) -> Iterator[Use]:
    if rules.budget is not None and any(one.tries is not None for one in rules.methods.values()):
        yield Use(Feature.BUDGET, name, rules.budget)
    if rules.ejection is not None:
        yield Use(Feature.EJECTION, name, rules.ejection)
        yield Use(Feature.LONGEST, name, rules.ejection)
        yield Use(Feature.MOST, name, rules.ejection)
    if rules.limits is not None:
        for feature, value in (
            (Feature.CONNECTIONS, rules.limits.connections),
            (Feature.REQUESTS, rules.limits.requests),
            (Feature.PENDING, rules.limits.pending),
        ):
            if value is not None:
                yield Use(feature, name, value)
    if rules.locality is not None:
        yield Use(Feature.LOCALITY, name, rules)
        if rules.locality.enough is not None:
            yield Use(Feature.ENOUGH, name, rules.locality.enough)


def _of_a_method(rules: MethodRules) -> Iterator[tuple[Feature, Any]]:
    if rules.timeout is not None:
        yield Feature.TIMEOUT, rules
    if rules.tries is not None:
        yield Feature.TRIES, rules.tries
        yield Feature.ON, rules.tries
        if rules.tries.backoff is not None:
            yield Feature.BACKOFF, rules.tries
    if rules.try_timeout is not None and rules.try_timeout != rules.timeout:
        yield Feature.TRY_TIMEOUT, rules
    if rules.limits is not None:
        yield Feature.OWN_LIMITS, rules.limits
    if rules.split is not None and rules.split.weights:
        yield Feature.WEIGHTS, rules.split.weights
    if rules.split is not None and rules.split.headers:
        yield Feature.HEADERS, rules.split.headers
    for feature, value in ((Feature.MIRROR, rules.mirror), (Feature.DELAY, rules.delay), (Feature.ABORT, rules.abort)):
        if value is not None:
            yield feature, rules
