"""The broker port: stores events in topics, and hands them to the groups that consume these topics.

    publish -> topic "souk.order" -> group "notification/mails" -> one of its consumers -> handle(event)
                                  -> group "product/index"      -> ...

A topic holds the events of one service. Each group gets every event of a topic; the processes that consume in
one group share its events among them. Every adapter gives these guarantees, and `souk.testing.broker_suite`
proves them against the real broker:

- Durability: an event with a result is stored, and outlives a crash of the broker.
- At least once: the broker forgets an event of a group only after `handle` returned for it. If the process dies
  before that, or is cut off, another consumer of the group gets the event.
- Order: the events of one key are handled one after the other, in the order in which they were published, however
  many consumers a group has. An event for which `handle` raises is handed to it again, after a pause, before any
  later event of its key; other keys go on meanwhile.
- Limits: a consumer holds a bounded number of events and octets, and takes no more until some were handled.
- Reconnection: a consumer that loses the broker, or starts before it, tries again until it is cancelled, and
  handles each event that was stored meanwhile.

What a broker, or a setting of it, cannot give is said by `inspect`, so that it is refused at start.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from math import inf
from typing import Protocol

from soukapi.v1.event_pb2 import DeliveryResult, Event

from souk.kernel.errors import SoukError

Handle = Callable[[Event], Awaitable[None]]
"""Handles one event, and returns when the broker may forget it; raises when it is to be handed over again."""


class BrokerUnavailable(SoukError):
    """The broker cannot be reached, or does not answer, or refuses whom it does not know. Nothing is known of an event
    that was on its way."""


@dataclass(frozen=True, slots=True)
class Guarantees:
    """What a broker gives with its present settings. A text says why it does not; an empty text means that it does.

    `durable`: what was stored outlives a crash. `ordered`: events of a key stay in order. `replays`: a new group gets
    the events that were published before it was declared. `largest` is the most octets of payload in an event.
    An event that a group has not handled is lost to it after `keeps` seconds.
    """

    durable: str = ""
    ordered: str = ""
    replays: str = ""
    largest: int = 1 << 20
    keeps: float = inf

    @property
    def unfit(self) -> str:
        """Why events must not go through the broker as it is set; an empty text if they may."""
        return self.durable or self.ordered


class Broker(Protocol):
    """Stores events and hands them to consumers; the module's docstring states the guarantees."""

    @property
    def system(self) -> str:
        """Its name in traces, as OpenTelemetry's conventions for messaging have it."""
        ...

    async def inspect(self) -> Guarantees:
        """Asks the broker for its settings, and returns what they guarantee. Raises BrokerUnavailable."""
        ...

    async def declare(self, topic: str, groups: Collection[str]) -> None:
        """Makes a topic and its groups if they are missing; a group gets all events that are published after that.

        Changes nothing of what is there. Raises BrokerUnavailable.
        """
        ...

    async def publish(self, topic: str, events: Sequence[Event]) -> Sequence[DeliveryResult]:
        """Stores events; those of a key in the order of the list. Returns a result for each that was stored.

        A result with `poison` is for an event that this broker can never store, such as one that is too large. An
        event without a result may or may not be stored: it is to be published again, and so is every event that
        follows it in its key. Raises BrokerUnavailable when nothing is known of any of them. May be cancelled.
        The groups of the topic must have been declared.
        """
        ...

    async def consume(self, topic: str, group: str, handle: Handle, types: Collection[str] = ()) -> None:
        """Hands the group's events to `handle`, until it is cancelled; then no handler of it runs any more.

        With `types`, an event of another type counts as handled at once. What is no event of ours is handed over.

        Events that were not handled then go to another consumer of the group at once, if the broker can be told.
        """
        ...

    @property
    def backlog_means(self) -> str:
        """What its backlog counts, in words for operators, with the broker's name."""
        ...

    async def backlog(self, topic: str, group: str) -> int:
        """Returns how many events the group has still to handle, those in hand included. Raises BrokerUnavailable."""
        ...

    async def close(self) -> None:
        """Closes all connections. Nothing may be published or consumed after that."""
        ...
