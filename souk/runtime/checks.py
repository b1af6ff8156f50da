"""Checks for mistakes of services' authors, before anything is opened or served, each reported in one line.

| mistake | found by |
|---|---|
| a method without a policy, a reason that its service does not have, a name unlike the contract's | require_sound |
| two services of one name, two methods at one path | require_sound |
| an event whose contract lacks a key, a need, a retention or its subscribers | require_sound |
| a subscription to what nobody publishes, or to an event that does not name the service | require_subscriptions |
| a consumer that neither waits nor passes after a parked event | require_subscriptions |
| a servicer without a method of its contract | require_servicer |
| a channel to a service that cannot be there | Reachable |
| a channel to a service that it does not declare | require_declared |
| a setting that the fleet's own PostgreSQL does not allow | require_databases |
| a database without migrations | ServiceContext.database, and open_database for an empty folder |

A foreign contract, which has no option of Souk's, is not checked: it was written for `grpc.aio`, and is served as
it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import get_args
from urllib.parse import urlsplit

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor

from souk.descriptors.contract import Access, Contract, contract_of
from souk.descriptors.event_contract import EventContract, event_of, events_of, topic_of
from souk.descriptors.path_template import Template
from souk.events.sender import AfterParked, SubscriptionLike
from souk.gateway.app import OWN_PATHS
from souk.gateway.settings import CONSOLE_PATH
from souk.kernel.errors import ConfigurationError
from souk.kernel.suggest import nearest
from souk.rpc.server.dispatcher import implements
from souk.runtime.config.settings import DiscoverySettings, Settings
from souk.runtime.service import Service

OUR_REGISTRIES = ("unix", "grpc")
"""URL schemes of the registry that comes with a fleet; only the app's own services are in it."""


def require_sound(services: Sequence[Service]) -> None:
    """Checks the contracts of services.

    Raises ConfigurationError, in one line, when a contract lacks what it must state, or two do not fit each other.
    """
    names: set[str] = set()
    paths: dict[tuple[str, tuple[str, ...], str], str] = {
        ("GET", tuple(path[1:].split("/")), ""): "the gateway itself" for path in OWN_PATHS
    }
    for service in services:
        contract = _contract(service)
        if service.name in names:
            raise ConfigurationError(f"two services are named {service.name!r}: each needs a name of its own")
        names.add(service.name)
        _require_name(service, contract)
        _require_policies(contract)
        _require_own_paths(contract, paths)
    require_subscriptions(services, ((service.name, one) for service in services for one in service.subscriptions))


def require_databases(services: Iterable[Service], settings: Settings) -> None:
    """Checks that the fleet's own PostgreSQL, if it has one, will allow what the services need as they are set.

    Raises ConfigurationError, in one line. A server of others is asked by the service itself, when it starts.
    """
    for service in services:
        needs = service.needs(settings.services.get(service.name, {}))
        if needs.prepared_transactions and settings.data.postgres is None and not settings.data.postgres_prepared:
            raise ConfigurationError(
                f"{service.name}, as it is set, needs prepared transactions, and the fleet's own PostgreSQL allows "
                "none: set SOUK_POSTGRES_PREPARED_TRANSACTIONS to how many there can be at once"
            )


def require_subscriptions(services: Sequence[Service], subscriptions: Iterable[tuple[str, SubscriptionLike]]) -> None:
    """Checks subscriptions, each with its service's name, against the contracts of the events.

    An event of a contract that is not in this process is not known, and so not checked. Raises ConfigurationError, in
    one line, for what is no event, for what nobody publishes, and for an event that does not name the service.
    """
    published = {topic_of(service.contract.full_name): events_of(service.contract) for service in services}
    for name, subscription in subscriptions:
        if subscription.after_parked not in get_args(AfterParked):
            raise ConfigurationError(
                f"the consumer {subscription.consumer!r} of {name!r} has after_parked={subscription.after_parked!r}: "
                f'it must be "pass" or "wait"'
            )
        for type_name in subscription.types:
            _require_subscribable(name, type_name, published.get(topic_of(type_name)))


def _require_subscribable(service: str, type_name: str, published: Mapping[str, EventContract] | None) -> None:
    message = _message(type_name)
    event = (published or {}).get(type_name) or (None if message is None else _event(message))
    if event is not None and not event.may_hear(service):
        raise ConfigurationError(
            f"{service!r} subscribes to {type_name}, which does not name it: "
            f"add {service!r} to the subscribers in the event's option (soukapi.v1.event), or do not subscribe"
        )
    if event is None and (published is not None or message is not None):
        near = nearest(type_name, list(published or ()))
        hint = f"did it mean {near}? " if near else ""
        raise ConfigurationError(
            f"{service!r} subscribes to {type_name}, which nobody publishes: {hint}"
            "an event is a message with the option (soukapi.v1.event)"
        )


def _message(type_name: str) -> Descriptor | None:
    try:
        return descriptor_pool.Default().FindMessageTypeByName(type_name)
    except KeyError:
        return None


def _event(message: Descriptor) -> EventContract | None:
    try:
        return event_of(message)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def _contract(service: Service) -> Contract:
    try:
        events_of(service.contract)
        return contract_of(service.contract)
    except ValueError as error:
        raise ConfigurationError(f"{service.name}: {error}") from None


def _foreign(contract: Contract) -> bool:
    silent = all(method.policy.access is Access.UNSPECIFIED for method in contract.methods.values())
    return silent and contract.name == contract.full_name


def _require_name(service: Service, contract: Contract) -> None:
    if not _foreign(contract) and contract.name != service.name:
        raise ConfigurationError(
            f"the service {service.name!r} serves {contract.full_name}, which calls itself {contract.name!r}: "
            "others would look for it under that name, so use it for both"
        )


def _require_policies(contract: Contract) -> None:
    for method in contract.methods.values():
        if method.policy.access is Access.UNSPECIFIED and (method.http or not _foreign(contract)):
            raise ConfigurationError(
                f"{contract.full_name}.{method.name} has no policy, so nobody knows who may call it: "
                "give it an option (soukapi.v1.policy) with an access"
            )


def _require_own_paths(contract: Contract, taken: dict[tuple[str, tuple[str, ...], str], str]) -> None:
    for method in contract.methods.values():
        name = f"{contract.full_name}.{method.name}"
        for rule in method.http:
            try:
                template = Template.parse(rule.path)
            except ValueError as error:
                raise ConfigurationError(f"{name}: {error}") from None
            if CONSOLE_PATH[1:] in template.segments[:1]:
                raise ConfigurationError(f"{name} is at {rule.verb} {rule.path}: below {CONSOLE_PATH} is the console")
            other = taken.setdefault((rule.verb, template.segments, template.verb), name)
            if other != name:
                raise ConfigurationError(f"{name} and {other} are both at {rule.verb} {rule.path}: one must move")


def require_servicer(service: Service, servicer: object) -> None:
    """Checks a servicer. Raises ConfigurationError when it lacks a method of its contract."""
    contract = contract_of(service.contract)
    missing = [method.name for method in contract.methods.values() if not implements(servicer, method)]
    if missing and not _foreign(contract):
        raise ConfigurationError(
            f"{type(servicer).__name__} of the service {service.name!r} lacks {', '.join(missing)}, "
            f"which {contract.full_name} has"
        )


def require_declared(service: Service, callee: str) -> None:
    """Checks a channel. Raises ConfigurationError when the service does not declare that it calls `callee`."""
    if callee not in service.calls:
        declared = ", ".join(repr(name) for name in dict.fromkeys((*service.calls, callee)))
        comma = "" if service.calls else ","
        raise ConfigurationError(
            f"{service.name} opens a channel to {callee!r}, which is not among the calls that it declares: "
            f"give its Service calls=({declared}{comma}), or do not call it"
        )


class Reachable:
    """Which services can be called, as far as is known at start; `names` is None when that is not known."""

    def __init__(self, names: Sequence[str] | None) -> None:
        self._names = names

    def require(self, caller: str, callee: str) -> None:
        """Checks a channel. Raises ConfigurationError when there can be no service of the callee's name."""
        if self._names is None or callee in self._names:
            return
        near = nearest(callee, self._names)
        hint = f"did it mean {near!r}? " if near else ""
        raise ConfigurationError(
            f"{caller} opens a channel to {callee!r}, which is not a service of this system: {hint}"
            f"there are {', '.join(sorted(self._names))}"
        )


ANYBODY = Reachable(None)
"""Allows every name: for a foreign registry, which may know any service, or when nothing is known."""


def reachable(services: Sequence[Service], settings: DiscoverySettings) -> Reachable:
    """Gives the services that can be called in a system; ANYBODY if its registry is not the fleet's own."""
    if settings.registry is not None and urlsplit(settings.registry).scheme not in OUR_REGISTRIES:
        return ANYBODY
    listeners = (route.partition("/")[0] for route in settings.subscriptions)
    return Reachable((*(service.name for service in services), *settings.addresses, *listeners))
