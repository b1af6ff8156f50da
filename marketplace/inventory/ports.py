"""What the use cases need of the world, in their own words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from marketplace.inventory.domain import Item, Move, Reservation, State
from souk.store.database import Transaction


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A change by hand as it was recorded; `available` is what it left."""

    caller: str
    key: str
    product_id: str
    delta: int
    reason: str
    available: int


class Stockroom(Protocol):
    """The books of stock. Everything happens inside the caller's transaction, and with it.

    `find` and `insert` serialise whoever works on the same key until the transaction ends. Stock
    changes by conditional updates: it is never below zero, not even between two statements.
    """

    async def insert(self, tx: Transaction, reservation: Reservation, now: int) -> bool:
        """Records a reservation under a new key; False when the key is known."""
        ...

    async def find(self, tx: Transaction, key: str) -> Reservation | None:
        """The reservation, locked."""
        ...

    async def update(self, tx: Transaction, key: str, state: State, expires_at: int) -> None:
        """Records what became of a reservation."""
        ...

    async def look(self, tx: Transaction, key: str) -> Reservation | None:
        """The reservation as it is for now."""
        ...

    async def pass_on(self, tx: Transaction, seen: Reservation, state: State) -> bool:
        """Takes a reservation to another state, and locks it; False when it is not as `seen` any more."""
        ...

    async def hold(self, tx: Transaction, items: Sequence[Item]) -> dict[str, int]:
        """Reserves what it can and returns what is available of each product that is short.

        When anything is returned, the caller rolls back.
        """
        ...

    async def move(self, tx: Transaction, items: Sequence[Item], move: Move) -> None:
        """Moves pieces that are surely there: any move but a hold."""
        ...

    async def lapsed(self, tx: Transaction, now: int, limit: int) -> list[str]:
        """Keys of reservations past their expiry, the oldest first."""
        ...

    async def glance(self, tx: Transaction, key: str, items: Sequence[Item]) -> dict[str, int] | None:
        """What is available of each product that is short right now; None if `key` is known, or nothing is.

        One statement, without locks.
        """
        ...

    async def available(self, tx: Transaction, product_id: str) -> int | None:
        """How many can be bought; None for a product without stock."""
        ...

    async def find_adjustment(self, tx: Transaction, caller: str, key: str) -> Adjustment | None:
        """The adjustment that a caller made under a key; concurrent ones with that key wait."""
        ...

    async def adjust(self, tx: Transaction, product_id: str, delta: int) -> int | None:
        """Adds or takes pieces, and returns what is available then; None when it cannot be done."""
        ...

    async def insert_adjustment(self, tx: Transaction, adjustment: Adjustment, now: int) -> None:
        """Records an adjustment."""
        ...


class Gate(Protocol):
    """Knows, perhaps, which products were short a moment ago. It may be wrong, and it never decides."""

    async def likely_short(self, items: Sequence[Item]) -> bool:
        """Whether there was less than wanted of one of them."""
        ...

    async def learned(self, short: Mapping[str, int]) -> None:
        """Remembers for a few seconds what was available of products that were refused."""
        ...


class Announcer(Protocol):
    """Tells other services."""

    async def stock_changed(self, tx: Transaction, product_id: str, available: int) -> None:
        """Says what is available of a product, if the transaction commits."""
        ...
