"""Who may call which method of a service, and why: from contracts, and from the calls that services declare.

| method | may be called by |
|---|---|
| public | the gateway, and the services that declare calls to the service |
| internal | those that its contract names: the gateway, and the services that declare calls to the service |
| of a foreign contract, which names nobody | the services that declare calls to the service |
| `EventSink/Deliver` | the services that publish what the service subscribes to |
| `EventSource/Park` | the services that subscribe to what the service publishes |
| `EventSource/ReadHistory` | the services that declare calls to the service |
| `grpc.health.v1.Health` | the gateway, and all who may call something else |
| any path of an adopted application | the gateway, and the services that declare calls to it |

A name in a contract that is no service of this system stays: what is outside declares nothing here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from souk.descriptors.contract import ANY_SERVICE, Access, Method
from souk.descriptors.event_contract import topic_of
from souk.gateway.settings import GATEWAY_SERVICE
from souk.mesh.policy.methods import DELIVER, PARK, READ_HISTORY, health_methods, methods_of
from souk.runtime.service import Service

EVERYTHING = "/*"
"""Stands for every path of an adopted application, which has no contract."""

Reasons = Mapping[str, str]
"""Why each caller may call a method, by the caller's name."""


@dataclass(frozen=True, slots=True)
class WhoMayCall:
    """For each service, and each of its methods by full name: the callers that are allowed, with the reason.

    Whoever is not listed may not call.
    """

    services: Mapping[str, Mapping[str, Reasons]]

    def reason(self, caller: str, service: str, method: str) -> str | None:
        """Returns why `caller` may call a method of `service`; None if it may not."""
        return self.services.get(service, {}).get(method, {}).get(caller)

    def callers_of(self, service: str) -> frozenset[str]:
        """Returns all who may call some method of `service`."""
        return frozenset(caller for reasons in self.services[service].values() for caller in reasons)

    def by_callers(self, service: str) -> Mapping[frozenset[str], tuple[str, ...]]:
        """Returns the methods of `service` with the same callers together, in the order of the contract.

        Methods that nobody may call are under the empty set.
        """
        found: dict[frozenset[str], list[str]] = {}
        for method, reasons in self.services[service].items():
            found.setdefault(frozenset(reasons), []).append(method)
        return {callers: tuple(methods) for callers, methods in found.items()}


def who_may_call(services: Sequence[Service]) -> WhoMayCall:
    """Derives who may call the methods of these services, which are all of a system."""
    names = frozenset(service.name for service in services)
    publishers = {topic_of(f"{service.contract.full_name}"): service.name for service in services}
    return WhoMayCall({service.name: _methods(service, services, names, publishers) for service in services})


def application_callers(name: str, services: Iterable[Service]) -> Mapping[str, Reasons]:
    """Derives who may send requests to the adopted application `name` of a system with these services."""
    reasons = {GATEWAY_SERVICE: "requests to an adopted application come through the gateway"}
    reasons |= {one.name: f"{one.name} declares calls to {name}" for one in services if name in one.calls}
    return {EVERYTHING: reasons}


def _methods(
    service: Service, services: Sequence[Service], names: frozenset[str], publishers: Mapping[str, str]
) -> Mapping[str, Reasons]:
    declared = [one.name for one in services if service.name in one.calls]
    found: dict[str, Reasons] = {}
    for name, method in methods_of(service).items():
        if name == DELIVER:
            found[name] = dict(_deliverers(service, publishers))
        elif name == PARK:
            found[name] = dict(_subscribers(service, services, publishers))
        else:
            found[name] = dict(_callers(method, service.name, declared, names))
    anyone = dict.fromkeys((GATEWAY_SERVICE, *(caller for reasons in found.values() for caller in reasons)))
    asked = dict.fromkeys(anyone, "asks whether the process is up")
    return found | dict.fromkeys(health_methods(), asked)


def _callers(method: Method, service: str, declared: Sequence[str], names: frozenset[str]) -> Iterator[tuple[str, str]]:
    access, named = method.policy.access, method.policy.callers
    if access in (Access.ANYONE, Access.CALLER):
        yield GATEWAY_SERVICE, "the method is public, through the gateway"
        for one in declared:
            yield one, f"the method is public, and {one} declares calls to {service}"
    elif access is Access.UNSPECIFIED:
        for one in declared:
            yield one, f"{one} declares calls to {service}, whose contract names no callers"
    else:
        yield from _named(method.full_name, service, declared, named, names)


def _named(
    method: str, service: str, declared: Sequence[str], named: frozenset[str], names: frozenset[str]
) -> Iterator[tuple[str, str]]:
    if GATEWAY_SERVICE in named or (ANY_SERVICE in named and method != READ_HISTORY):
        by = "names it" if GATEWAY_SERVICE in named else "names every service"
        yield GATEWAY_SERVICE, f"the contract {by}"
    for one in declared:
        if named & {one, ANY_SERVICE}:
            by = "names it" if one in named else "names every service"
            yield one, f"the contract {by}, and {one} declares calls to {service}"
    for one in sorted(named - names - {GATEWAY_SERVICE, ANY_SERVICE}):
        yield one, "the contract names it; it is no service of this system, so it declares nothing"


def _deliverers(service: Service, publishers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for topic in sorted({topic_of(name) for one in service.subscriptions for name in one.types}):
        if topic in publishers:
            yield publishers[topic], f"delivers its events ({topic}), to which {service.name} subscribes"


def _subscribers(
    service: Service, services: Sequence[Service], publishers: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    for one in services:
        topics = {topic_of(name) for subscription in one.subscriptions for name in subscription.types}
        if service.name in {publishers.get(topic) for topic in topics}:
            yield one.name, f"subscribes to events of {service.name}, and parks those that it cannot handle"
