"""Which consumers get an event: each by itself, or all of them through a broker."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from souk.events.sender import Route, SubscriptionLike


class EveryType(Collection[str]):
    """The types of a consumer that gets every event, also of types that nobody has thought of yet."""

    def __contains__(self, item: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


THROUGH_BROKER = Route("broker", "all", EveryType())
"""Stands for all consumers behind a broker: an event is delivered to it once the broker has stored it."""


@dataclass(frozen=True, slots=True)
class Routing:
    """The routes of one relay. An event of a type goes to each of `always`, and to those that `by_type` names.

    A route may be in neither: then it gets what an operator replays, and what was pending for it before.
    """

    direct: tuple[Route, ...]
    always: tuple[str, ...] = ()
    by_type: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def consumers_of(self, type_name: str) -> Sequence[str]:
        """Returns the names of the consumers of a type of events."""
        return (*self.always, *self.by_type.get(type_name, ()))


def without_broker(routes: Sequence[Route]) -> Routing:
    """Routes each event to the consumers that subscribe to its type."""
    return Routing(tuple(routes), by_type=_by_type(routes))


def is_called(service: str, subscription: SubscriptionLike, elsewhere: Collection[str]) -> bool:
    """Tells whether a consumer is called with its events although there is a broker.

    Those of services `elsewhere` are, which may know none; and those whose events wait behind a parked one of their
    key: only the outbox knows what is parked, so only its relay can hold them back.
    """
    return service in elsewhere or subscription.after_parked == "wait"


def with_broker(routes: Sequence[Route], elsewhere: Collection[str]) -> Routing:
    """Routes each event to the broker, and to those of its consumers that are called all the same (`is_called`)."""
    direct = [route if is_called(route.service, route, elsewhere) else replace(route, types=()) for route in routes]
    return Routing(tuple(direct), (THROUGH_BROKER.name,), _by_type(direct))


def _by_type(routes: Iterable[Route]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for route in routes:
        for kind in route.types:
            names.setdefault(kind, []).append(route.name)
    return names
