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
class OperatorActed:
    """An operator acted on a saga of the order. Who and why is for operators alone: `souk saga show` has it."""

    saga: str
    attempt: int
    action: str
    step: str


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """One event in an order's history: it counts from 1, and happened at `time`, in microseconds since 1970."""

    sequence: int
    event: Event | OperatorActed
    time: int
