"""The topic of an event, and the groups of consumers that a topic has."""

import re
from collections.abc import Iterable

from souk.events.sender import SubscriptionLike

_VERSION = re.compile(r"\.v[0-9]+[a-z0-9]*$")


def topic_of(type_name: str) -> str:
    """Returns the topic of a type of events: its package without a version, such as "shop.order".

    All events of a contract share a topic, also those of a later version, so that those of one key stay in order.
    """
    return _VERSION.sub("", type_name.rpartition(".")[0]) or type_name


def groups_of(subscriptions: Iterable[tuple[str, SubscriptionLike]]) -> dict[str, list[str]]:
    """Returns the groups of each topic, for pairs of a service's name and one of its subscriptions."""
    groups: dict[str, dict[str, None]] = {}
    for service, subscription in subscriptions:
        for type_name in subscription.types:
            groups.setdefault(topic_of(type_name), {})[f"{service}/{subscription.consumer}"] = None
    return {topic: list(names) for topic, names in groups.items()}
