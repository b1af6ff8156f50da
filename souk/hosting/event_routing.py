"""How events get from the services of this process to those that listen: by calls, or through a broker."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import grpc.aio

from souk.events.broker import Broker
from souk.events.pubsub.parking import parks_at_source
from souk.events.pubsub.publisher import BrokerPublisher
from souk.events.pubsub.subscriber import Subscriber
from souk.events.pubsub.topics import groups_of
from souk.events.routing import is_called
from souk.runtime.config.settings import DiscoverySettings
from souk.runtime.service import Service, ServiceContext, ServiceParts, Subscription
from souk.telemetry.tracing.tracer import Tracer

Subscriptions = Sequence[tuple[str, Subscription]]
"""All subscriptions of a system: pairs of a service's name and one of its subscriptions."""


NOBODY: Mapping[str, Sequence[str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class EventRouting:
    """How events get from service to service: all `subscriptions`, and the `broker` if there is one.

    The consumers of services `elsewhere` are called, with a broker as without: they are not ours, and may know none. So
    are consumers that wait after a parked event.
    """

    subscriptions: Subscriptions
    broker: Broker | None = None
    elsewhere: frozenset[str] = frozenset()

    @property
    def groups(self) -> Mapping[str, Sequence[str]]:
        """The groups of each topic, if there is a broker."""
        return groups_of([(name, one) for name, one in self.subscriptions if not is_called(name, one, self.elsewhere)])

    def publisher(self, tracer: Tracer | None = None) -> BrokerPublisher | None:
        """Publishes a service's events to the broker, if there is one."""
        if self.broker is None:
            return None
        return BrokerPublisher(self.broker, self.groups, tracer=tracer)

    def subscribers(
        self,
        name: str,
        parts: ServiceParts,
        context: ServiceContext,
        channel_of: Callable[[str], grpc.aio.Channel],
    ) -> list[Subscriber]:
        """Makes the subscribers of the consumers of the service `name`; none without a broker.

        `channel_of` leads to the services whose events they park.
        """
        if self.broker is None:
            return []
        return [
            Subscriber(
                self.broker,
                name,
                one.consumer,
                one.types,
                parts.consumers[one.consumer],
                parks_at_source(one.consumer, channel_of),
                context.clock,
                tracer=context.tracer,
            )
            for service, one in self.subscriptions
            if service == name and not is_called(name, one, self.elsewhere)
        ]


def elsewhere(settings: DiscoverySettings) -> frozenset[str]:
    """Gives the services whose subscriptions are known by a setting alone: they are not installed here."""
    return frozenset(route.partition("/")[0] for route in settings.subscriptions)


def subscriptions_of(services: Iterable[Service], besides: Mapping[str, Sequence[str]] = NOBODY) -> Subscriptions:
    """Gives every subscription of these services, and those in `besides`: types by "service/consumer"."""
    types: dict[tuple[str, str], dict[str, None]] = {}
    waiting: set[tuple[str, str]] = set()
    for service in services:
        for one in service.subscriptions:
            types.setdefault((service.name, one.consumer), {}).update(dict.fromkeys(one.types))
            if one.after_parked == "wait":
                waiting.add((service.name, one.consumer))
    for route, named in besides.items():
        name, _, consumer = route.partition("/")
        types.setdefault((name, consumer), {}).update(dict.fromkeys(named))
    return [
        (name, Subscription(consumer, tuple(found), "wait" if (name, consumer) in waiting else "pass"))
        for (name, consumer), found in types.items()
    ]
