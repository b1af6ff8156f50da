"""An attempt to place an order: what its saga is started with, and the names of its steps."""

from dataclasses import dataclass

import orjson

from marketplace.order.domain.order import Order
from marketplace.order.events import Item
from marketplace.order.saga.coordinators import PlacingCoordinator
from souk.sdk import MICROSECONDS, Clock, SagaRef, Step, Transaction

PLACE_ORDER = "place-order"
RESERVE, CHARGE = "reserve stock", "charge payment"
RESERVATION = 3_600 * MICROSECONDS
"""How long stock is reserved: only a guard against leaks, far beyond the saga's deadline and its undoing."""


@dataclass(frozen=True, slots=True)
class Placing:
    """The input of an attempt. It never changes while the attempt runs: a step that is called again must
    send the very same request."""

    user_id: str
    items: tuple[Item, ...]
    total: int
    currency: str
    source: bytes
    reserved_until: int

    def pack(self) -> bytes:
        """Serialises it as the input of a saga."""
        return orjson.dumps(
            {
                "user_id": self.user_id,
                "items": self.items,
                "total": self.total,
                "currency": self.currency,
                "source": self.source.hex(),
                "reserved_until": self.reserved_until,
            }
        )

    @classmethod
    def unpack(cls, data: bytes) -> "Placing":
        """Makes it of what `pack` returned."""
        fields = orjson.loads(data)
        items = tuple(Item(**item) for item in fields["items"])
        return cls(**{**fields, "items": items, "source": bytes.fromhex(fields["source"])})


async def begin_placing(
    coordinator: PlacingCoordinator, tx: Transaction, order: Order, source: bytes, clock: Clock
) -> SagaRef:
    """Starts placing for the order's present attempt; `source` is what to charge."""
    until = clock.now() + RESERVATION
    placing = Placing(order.user_id, order.items, order.total, order.currency, source, until)
    return await coordinator.start(tx, PLACE_ORDER, order.id, order.attempt, placing.pack(), order.user_id)


def charge_key(ref: SagaRef) -> str:
    """Returns the key under which an attempt is charged."""
    return f"{ref.subject}:{ref.attempt}:{Step(CHARGE).slug}"


def reservation_key(ref: SagaRef) -> str:
    """Returns the key under which an attempt reserved its stock."""
    return f"{ref.subject}:{ref.attempt}:{Step(RESERVE).slug}"
