"""Ports: what Order needs from other services.

Every call to another service may raise `souk.rpc.call.CallFailed`, whose outcome says whether anything happened.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from marketplace.order.events import Item


@dataclass(frozen=True, slots=True)
class Price:
    """The present price of a product; `amount` is in minor units."""

    amount: int
    currency: str


class Catalogue(Protocol):
    """Knows current prices."""

    async def prices(self, product_ids: Sequence[str]) -> dict[str, Price]:
        """Returns the prices of those products that exist, by product id."""
        ...


@dataclass(frozen=True, slots=True)
class Address:
    """A delivery address: personal data, stored only in a table that can be erased."""

    id: str
    text: str


class AddressBook(Protocol):
    """Knows the buyer's addresses."""

    async def address(self, user_id: str, address_id: str) -> Address | None:
        """Returns the buyer's address of that id; None if the buyer has none."""
        ...


class Stock(Protocol):
    """Reserves stock. A key names one reservation for ever."""

    async def reserve(self, key: str, order_id: str, items: Sequence[Item], expires_at: int) -> None:
        """Reserves all items or none, until `expires_at` (microseconds); raises OUT_OF_STOCK."""
        ...

    async def release(self, key: str) -> None:
        """Releases the reservation, or blocks its key if there is none."""
        ...

    async def commit(self, key: str) -> None:
        """Turns the reservation into a sale."""
        ...

    async def take_back(self, key: str) -> None:
        """Turns the sale back into stock."""
        ...


class PreparedStock(Protocol):
    """Sells stock within a two-phase commit, whose key names the transaction."""

    async def prepare(self, transaction: str, key: str, order_id: str, items: Sequence[Item]) -> None:
        """Prepares the sale of all items, or refuses with OUT_OF_STOCK; `key` names the sale afterwards."""
        ...

    async def commit(self, transaction: str) -> None:
        """Commits what is prepared; a repeat changes nothing."""
        ...

    async def roll_back(self, transaction: str) -> None:
        """Rolls back what is prepared, or blocks the key if nothing is."""
        ...


@dataclass(frozen=True, slots=True)
class Charge:
    """A charge to make; `amount` is in minor units, `source` is what `Payments.resolve` returned."""

    key: str
    order_id: str
    user_id: str
    amount: int
    currency: str
    source: bytes


@dataclass(frozen=True, slots=True)
class StandingCharge:
    """A charge in Payment's book that was captured and is not undone; `key` is that of the saga's request."""

    payment_id: str
    key: str
    order_id: str


class Payments(Protocol):
    """Moves money. A key names one charge, or one refund, for ever."""

    async def resolve(self, user_id: str, payment_method: str) -> bytes | None:
        """Returns the opaque source to charge; None if the buyer has no such payment method."""
        ...

    async def charge(self, charge: Charge) -> str:
        """Charges, and returns the payment's id; raises PAYMENT_DECLINED or PAYMENT_UNAVAILABLE."""
        ...

    async def cancel(self, key: str, order_id: str) -> None:
        """Undoes the charge durably, or blocks its key if there is none."""
        ...

    async def refund(self, key: str, payment_id: str, reason: str) -> None:
        """Refunds what is left of the charge."""
        ...

    async def standing(self, after: str, min_age: int, limit: int) -> Sequence[StandingCharge]:
        """Returns charges that are older than `min_age` seconds and not undone, in the order of their payment ids.

        A page starts after the id `after` and has `limit` charges; fewer at the end.
        """
        ...


class PreparedPayments(Protocol):
    """Charges wallets within a two-phase commit, whose key names the transaction."""

    async def prepare(self, transaction: str, charge: Charge) -> str:
        """Prepares the charge, and returns the id that its payment will have; raises PAYMENT_DECLINED."""
        ...

    async def commit(self, transaction: str) -> None:
        """Commits what is prepared; a repeat changes nothing."""
        ...

    async def roll_back(self, transaction: str) -> None:
        """Rolls back what is prepared, or blocks the key if nothing is."""
        ...
