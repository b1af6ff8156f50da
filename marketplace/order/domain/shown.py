"""What a buyer reads of an order."""

from dataclasses import dataclass

from marketplace.order.events import Event


@dataclass(frozen=True, slots=True)
class ShownOrder:
    """An order as its buyer sees it, and when it was placed, in microseconds since 1970.

    `body` is the answer itself, serialised when the order last changed. Only `messages.py` knows how.
    """

    id: str
    created_at: int
    body: bytes


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """One event in an order's history: it counts from 1, and happened at `time`, in microseconds since 1970."""

    sequence: int
    event: Event
    time: int
