"""What the Order service needs of others, in its own words.

Every call to another service may raise `souk.rpc.call.CallFailed`, whose outcome says whether anything happened.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from marketplace.order.events import Item


@dataclass(frozen=True, slots=True)
class Price:
    """What a product costs now."""

    amount: int
    currency: str


class Catalogue(Protocol):
    """Knows current prices."""

    async def prices(self, product_ids: Sequence[str]) -> dict[str, Price]:
        """The prices of those products that exist."""
        ...


@dataclass(frozen=True, slots=True)
class Address:
    """Where a parcel goes: personal data, kept only in an erasable table."""

    id: str
    text: str


class AddressBook(Protocol):
    """Knows the buyer's addresses."""

    async def address(self, user_id: str, address_id: str) -> Address | None:
        """The buyer's address of that id; None for anybody else's."""
        ...


class Stock(Protocol):
    """Promises stock. A key names one reservation for ever."""

    async def reserve(self, key: str, order_id: str, items: Sequence[Item], expires_at: int) -> None:
        """All items or none; refused with OUT_OF_STOCK."""
        ...

    async def release(self, key: str) -> None:
        """Puts the reservation back, or blocks it if it never was."""
        ...

    async def commit(self, key: str) -> None:
        """Turns the reservation into a sale."""
        ...

    async def take_back(self, key: str) -> None:
        """Turns the sale back into stock."""
        ...


@dataclass(frozen=True, slots=True)
class Charge:
    """A charge to make; `source` is what `Payments.resolve` gave."""

    key: str
    order_id: str
    user_id: str
    amount: int
    currency: str
    source: bytes


@dataclass(frozen=True, slots=True)
class StandingCharge:
    """A charge in Payment's book that was captured and is not undone; `key` is what the saga asked for it under."""

    payment_id: str
    key: str
    order_id: str


class Payments(Protocol):
    """Moves money. A key names one charge, or one refund, for ever."""

    async def resolve(self, user_id: str, payment_method: str) -> bytes | None:
        """What will be charged, opaque; None if the buyer has no such method."""
        ...

    async def charge(self, charge: Charge) -> str:
        """The payment's id; refused with PAYMENT_DECLINED or PAYMENT_UNAVAILABLE."""
        ...

    async def cancel(self, key: str, order_id: str) -> None:
        """Undoes the charge durably, or blocks it if it never was."""
        ...

    async def refund(self, key: str, payment_id: str, reason: str) -> None:
        """Gives back what is left of the charge."""
        ...

    async def standing(self, after: str, min_age: int, limit: int) -> Sequence[StandingCharge]:
        """Charges that stand for at least `min_age` seconds, by payment id behind `after`; fewer at the end."""
        ...
