"""Which consumers of a system get their events from its broker, and which are called."""

from typing import Any, cast

from souk.events.broker import Broker
from souk.hosting.event_routing import EventRouting
from souk.kernel.clock import SystemClock
from souk.runtime.service import ServiceParts, Subscription

TYPE = "shop.order.v1.OrderConfirmed"
SUBSCRIPTIONS = (
    ("mail", Subscription("all", (TYPE,))),
    ("mail", Subscription("strict", (TYPE,), after_parked="wait")),
    ("foreign", Subscription("hook", (TYPE,))),
)


class DeclaringBroker:
    """A broker that keeps the groups that are declared, and stores nothing."""

    system = "test"

    def __init__(self) -> None:
        self.groups: dict[str, list[str]] = {}

    async def inspect(self) -> Any:
        class Fit:
            unfit = ""

        return Fit()

    async def declare(self, topic: str, groups: list[str]) -> None:
        self.groups[topic] = groups

    async def publish(self, topic: str, events: Any) -> list[Any]:
        return []


class Context:
    clock = SystemClock()
    tracer = None


def channel_of(name: str) -> Any:
    raise AssertionError("nobody is called")


async def handler(event: Any) -> None:
    raise AssertionError("no event comes")


async def test_only_consumers_that_let_events_pass_are_groups_at_the_broker() -> None:
    broker = DeclaringBroker()
    events = EventRouting(SUBSCRIPTIONS, cast(Broker, broker), frozenset({"foreign"}))
    parts = ServiceParts(object(), consumers={"all": handler, "strict": handler})
    assert [one.group for one in events.subscribers("mail", parts, cast(Any, Context()), channel_of)] == ["mail/all"]
    publisher = events.publisher()
    assert publisher is not None
    event = cast(Any, type("Event", (), {"type": TYPE}))
    await publisher.hand_over(cast(Any, None), [event])
    assert broker.groups == {"shop.order": ["mail/all"]}
