"""The broker port: how a relay gets events to a consumer.

Guarantees that every adapter gives, proved by `souk.testing.events_suite`:

- `hand_over` returns only for events that will not be lost any more: the consumer has handled them,
  or a broker has stored them durably. Until then the relay sends them again, so it may be called
  any number of times with the same events.
- Order: events of one key are taken in the order of the list. The relay makes one call at a time
  for each consumer, and never one for a later event of a key before an earlier one is answered.
- The answer speaks of those events that were taken; the rest is to be sent again, and then also
  whatever follows it in its key. It may be cancelled at any time, and then has either taken an
  event or not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from soukapi.v1.event_pb2 import DeliveryResult, Event


class SubscriptionLike(Protocol):
    """A consumer by name, and the full names of the events that it hears."""

    @property
    def consumer(self) -> str: ...
    @property
    def types(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Route:
    """A consumer in a service, and what it hears."""

    service: str
    consumer: str
    types: tuple[str, ...]

    @property
    def name(self) -> str:
        """Unique in the system, such as "notification/order-mails"."""
        return f"{self.service}/{self.consumer}"


class Broker(Protocol):
    """Gets events to a consumer; see the module for its guarantees."""

    async def hand_over(self, route: Route, events: Sequence[Event]) -> Sequence[DeliveryResult]:
        """How those of `events` ended that did. Any exception means: away for now, send again."""
        ...
