"""What the Order service needs of others and of its database, in its own words.

Every call to another service may raise `souk.rpc.call.CallFailed`, whose outcome says whether anything happened.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from google.protobuf.message import Message
from shop.order.v1 import order_pb2 as pb

from marketplace.order.domain import Order
from marketplace.order.events import Event, Item
from souk.kernel.errors import DomainError
from souk.store.database import Transaction
from souk.store.idempotency import KeyRecord, StoredReply


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


@dataclass(frozen=True, slots=True)
class Shown:
    """An order as its buyer sees it, and when it was placed, in microseconds."""

    created_at: int
    order: pb.Order


class Orders(Protocol):
    """The event log, the read model that changes with it, keys and addresses, inside a transaction."""

    async def load(self, tx: Transaction, order_id: str) -> Order:
        """The fold of its events; a NEW order when there are none."""
        ...

    async def load_lately(self, tx: Transaction, order_id: str) -> Order:
        """As it stands, or stood a moment ago: for whoever appends what follows from it, and hears of a conflict."""
        ...

    async def load_known(self, tx: Transaction, order_id: str) -> Order:
        """Raises ORDER_NOT_FOUND when there is no such order."""
        ...

    async def load_own(self, tx: Transaction, user_id: str, order_id: str) -> Order:
        """Raises ORDER_NOT_FOUND for anybody else's, too."""
        ...

    async def history(self, tx: Transaction, order_id: str) -> list[tuple[Event, int]]:
        """Its events in order, each with its time in microseconds."""
        ...

    async def change(self, tx: Transaction, order: Order, events: Sequence[Event]) -> Order:
        """Appends what was decided, shows it, and tells the other services; VersionConflict if it has grown."""
        ...

    async def shown(self, tx: Transaction, user_id: str, order_id: str) -> pb.Order:
        """One order as its buyer sees it; raises ORDER_NOT_FOUND for anybody else's."""
        ...

    async def page(self, tx: Transaction, user_id: str, limit: int, after: Sequence[int | str] | None) -> list[Shown]:
        """A buyer's orders, the newest first, those behind `after` (created_at, id)."""
        ...

    async def is_paid_by(self, tx: Transaction, order_id: str, payment_id: str) -> bool:
        """Whether that order was confirmed by that payment, and is not cancelled."""
        ...

    async def bind_key(self, tx: Transaction, user_id: str, key: str, fingerprint: str, order_id: str) -> bool:
        """Binds a key to its request and order; False when somebody was faster."""
        ...

    async def find_key(self, tx: Transaction, user_id: str, key: str) -> KeyRecord | None:
        """What is known of a buyer's key."""
        ...

    async def find_key_of(self, tx: Transaction, order_id: str) -> KeyRecord | None:
        """What is known of the key that an order was placed under."""
        ...

    async def answer(self, tx: Transaction, order: Order, reply: Message | DomainError) -> None:
        """Stores the final answer of the key that an order was placed under."""
        ...

    def answered(self, order_id: str) -> StoredReply | None:
        """That answer, if this process stored it lately; it never changes."""
        ...

    async def answer_key(self, tx: Transaction, user_id: str, key: str, reply: DomainError) -> None:
        """Stores the final answer of a key without an order."""
        ...

    async def keep_address(self, tx: Transaction, order: Order, address: str) -> None:
        """Where the parcel goes, as the buyer's address was when this attempt began.

        Raises Unauthenticated when the buyer was erased since it was asked for.
        """
        ...

    async def require_buyer(self, tx: Transaction, user_id: str) -> None:
        """Raises Unauthenticated for a buyer who was erased."""
        ...

    async def erase_addresses(self, tx: Transaction, user_id: str) -> None:
        """Forgets where a buyer's parcels went; no address of theirs is kept from now on."""
        ...

    async def erase_late(self, tx: Transaction) -> int:
        """Forgets the addresses that orders kept in the very moment of an erasure; returns how many."""
        ...
