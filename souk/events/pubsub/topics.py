"""The topic of an event, and the groups of consumers that a topic has."""

from collections.abc import Iterable

from souk.descriptors.event_contract import topic_of
from souk.events.sender import SubscriptionLike

__all__ = ["groups_of", "topic_of"]


def groups_of(subscriptions: Iterable[tuple[str, SubscriptionLike]]) -> dict[str, list[str]]:
    """Returns the groups of each topic, for pairs of a service's name and one of its subscriptions."""
    groups: dict[str, dict[str, None]] = {}
    for service, subscription in subscriptions:
        for type_name in subscription.types:
            groups.setdefault(topic_of(type_name), {})[f"{service}/{subscription.consumer}"] = None
    return {topic: list(names) for topic, names in groups.items()}
