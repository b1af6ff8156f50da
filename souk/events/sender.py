"""The sender port: how a relay hands events to a consumer.

Guarantees that every adapter gives, proved by `souk.testing.events_suite`:

- Durability: a result means that the event will not be lost any more: the consumer has handled it,
  or a broker has stored it durably. Until then the relay sends the event again, so `hand_over` may be
  called any number of times with the same events.
- Order: events of one key are taken in the order of the list. The relay makes one call at a time
  for each consumer, and never sends a later event of a key before an earlier one is answered.
- Partial answers: an event without a result is to be sent again, and so is every event that follows it
  in its key. The call may be cancelled at any time; each event is then either taken or not.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from soukapi.v1.event_pb2 import DeliveryResult, Event

AfterParked = Literal["pass", "wait"]
"""Whether later events of a key pass an event that is parked, or wait until an operator has decided about it."""


class SubscriptionLike(Protocol):
    """A consumer by name, the full names of the event types that it subscribes to, and what follows a parked event."""

    @property
    def consumer(self) -> str: ...
    @property
    def types(self) -> Collection[str]: ...
    @property
    def after_parked(self) -> AfterParked: ...


@dataclass(frozen=True, slots=True)
class Route:
    """A consumer in a service, the event types that it subscribes to, and what follows a parked event."""

    service: str
    consumer: str
    types: Collection[str]
    after_parked: AfterParked = "pass"

    @property
    def name(self) -> str:
        """The consumer's name in the system, which is unique, such as "notification/order-mails"."""
        return f"{self.service}/{self.consumer}"


class EventSender(Protocol):
    """Hands events to a consumer; the module's docstring states the guarantees."""

    async def hand_over(self, route: Route, events: Sequence[Event]) -> Sequence[DeliveryResult]:
        """Sends events; returns a result for each one that was taken.

        Any exception means that the consumer is unavailable now and the events are to be sent again.
        """
        ...
