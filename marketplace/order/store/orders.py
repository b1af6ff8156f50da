"""All SQL of the Order service: the event log, the read model, keys and addresses.

The read model changes in the transaction that appends, so that a buyer reads what they wrote.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from google.protobuf.message import Message
from shop.order.v1 import order_pb2 as pb

from marketplace.order import domain
from marketplace.order.domain import Order
from marketplace.order.events import Event, from_json, to_json
from marketplace.order.messages import order_message, published
from marketplace.order.store.recent_orders import RecentOrders
from souk.sdk import (
    ALL_ERASED,
    IS_NOT_ERASED,
    Clock,
    DomainError,
    ErasedSubjects,
    EventStore,
    Idempotency,
    KeyRecord,
    NewEvent,
    Outbox,
    RecordedEvent,
    Row,
    Scope,
    StoredReply,
    Transaction,
    VersionConflict,
    account_erased,
)

PLACE_ORDER = "/shop.order.v1.OrderService/PlaceOrder"


@dataclass(frozen=True, slots=True)
class Shown:
    """An order as its buyer sees it, and when it was placed, in microseconds."""

    created_at: int
    order: pb.Order


class OrderStore:
    """The event log, the read model that changes with it, keys and addresses, inside a transaction."""

    def __init__(self, outbox: Outbox, clock: Clock) -> None:
        self._outbox = outbox
        self._clock = clock
        self._log = EventStore()
        self._keys = Idempotency()
        self._erased = ErasedSubjects()
        # As they stood when this process last committed a change: perhaps not the latest.
        self._orders = RecentOrders[Order]()
        # These two never change, once they are there.
        self._scopes = RecentOrders[Scope]()
        self._replies = RecentOrders[StoredReply]()

    # the log

    async def load(self, tx: Transaction, order_id: str) -> Order:
        """The fold of its events; a NEW order when there are none."""
        return domain.fold(order_id, await self.history(tx, order_id))

    async def load_recent(self, tx: Transaction, order_id: str) -> Order:
        """As it stands, or stood a moment ago: for whoever appends what follows from it, and hears of a conflict."""
        return self._orders.get(order_id) or await self.load(tx, order_id)

    async def load_known(self, tx: Transaction, order_id: str) -> Order:
        """Raises ORDER_NOT_FOUND when there is no such order."""
        order = await self.load(tx, order_id)
        if not order.version:
            raise _not_found(order_id)
        return order

    async def load_own(self, tx: Transaction, user_id: str, order_id: str) -> Order:
        """Raises ORDER_NOT_FOUND for anybody else's, too."""
        order = await self.load_known(tx, order_id)
        if order.user_id != user_id:
            raise _not_found(order_id)
        return order

    async def history(self, tx: Transaction, order_id: str) -> list[tuple[Event, int]]:
        """Its events in order, each with its time in microseconds."""
        return [(_event(row), row.time) for row in await self._log.load(tx, order_id)]

    async def change(self, tx: Transaction, order: Order, events: Sequence[Event]) -> Order:
        """Appends what was decided, shows it, and tells the other services; VersionConflict if it has grown."""
        if not events:
            return order
        time = max(self._clock.now(), order.last_at)
        rows = [NewEvent(type(event).__name__, to_json(event), time) for event in events]
        try:
            await self._log.append(tx, order.id, order.version, rows)
        except VersionConflict:
            self._orders.drop(order.id)
            raise
        after = order
        for event in events:
            after = domain.apply(after, event, time)
        if any(map(domain.is_visible, events)):
            await self._show(tx, after, new=not order.version)
        tx.after_commit(partial(self._orders.keep, after.id, after))
        if _standing(order) != _standing(after) and (message := published(after)) is not None:
            await self._outbox.publish(tx, after.id, message)
        return after

    # the read model

    async def shown(self, tx: Transaction, user_id: str, order_id: str) -> pb.Order:
        """One order as its buyer sees it; raises ORDER_NOT_FOUND for anybody else's."""
        row = await tx.fetch_one("SELECT body FROM orders WHERE id = $1 AND user_id = $2", order_id, user_id)
        if row is None:
            raise _not_found(order_id)
        return pb.Order.FromString(row["body"])

    async def page(self, tx: Transaction, user_id: str, limit: int, after: Sequence[int | str] | None) -> list[Shown]:
        """A buyer's orders, the newest first, those behind `after` (created_at, id)."""
        columns = "SELECT created_at, body FROM orders WHERE user_id = $1"
        order = "ORDER BY created_at DESC, id DESC LIMIT $2"
        if after is None:
            rows = await tx.fetch(f"{columns} {order}", user_id, limit)
        else:
            rows = await tx.fetch(f"{columns} AND (created_at, id) < ($3, $4) {order}", user_id, limit, *after)
        return [_shown(row) for row in rows]

    async def is_paid_by(self, tx: Transaction, order_id: str, payment_id: str) -> bool:
        """Whether that order was confirmed by that payment, and is not cancelled."""
        row = await tx.fetch_one("SELECT status, body FROM orders WHERE id = $1", order_id)
        if row is None or row["status"] == domain.Status.CANCELLED.value:
            return False
        return pb.Order.FromString(row["body"]).payment_id == payment_id

    async def rebuild(self, tx: Transaction) -> int:
        """Makes the read model anew from the log; returns how many orders there are."""
        await tx.execute("DELETE FROM orders")
        orders: dict[str, Order] = {}
        position = 0
        while batch := await self._log.read_all(tx, after=position):
            for row in batch:
                order = orders.get(row.stream, Order(row.stream))
                orders[row.stream] = domain.apply(order, _event(row), row.time)
            position = batch[-1].position
        for order in orders.values():
            await self._show(tx, order, new=True)
        return len(orders)

    async def _show(self, tx: Transaction, order: Order, *, new: bool) -> None:
        body = order_message(order).SerializeToString()
        if new:
            await tx.write(
                "INSERT INTO orders (id, user_id, status, created_at, body) VALUES ($1, $2, $3, $4, $5)",
                *(order.id, order.user_id, order.status.value, order.created_at, body),
            )
        else:
            await tx.write("UPDATE orders SET status = $2, body = $3 WHERE id = $1", order.id, order.status.value, body)

    # keys and addresses

    async def bind_key(self, tx: Transaction, user_id: str, key: str, fingerprint: str, order_id: str) -> bool:
        """Binds a key to its request and order; False when somebody was faster."""
        scope = Scope(user_id, PLACE_ORDER, key)
        if not await self._keys.insert(tx, scope, fingerprint, order_id):
            return False
        if order_id:
            self._scopes.keep(order_id, scope)
            sql = "INSERT INTO order_key (order_id, user_id, key) VALUES ($1, $2, $3)"
            await tx.write(sql, order_id, user_id, key)
        return True

    async def find_key(self, tx: Transaction, user_id: str, key: str) -> KeyRecord | None:
        """What is known of a buyer's key."""
        return await self._keys.find(tx, Scope(user_id, PLACE_ORDER, key))

    async def find_key_of(self, tx: Transaction, order_id: str) -> KeyRecord | None:
        """What is known of the key that an order was placed under."""
        return await self._keys.find(tx, await self._scope(tx, order_id))

    async def answer(self, tx: Transaction, order: Order, reply: Message | DomainError) -> None:
        """Stores the final answer of the key that an order was placed under."""
        stored = _stored(reply)
        await self._keys.finish(tx, await self._scope(tx, order.id), stored)
        tx.after_commit(partial(self._replies.keep, order.id, stored))

    def answered(self, order_id: str) -> StoredReply | None:
        """The final answer of the key of an order, if this process stored it lately; it never changes."""
        return self._replies.get(order_id)

    async def answer_key(self, tx: Transaction, user_id: str, key: str, reply: DomainError) -> None:
        """Stores the final answer of a key without an order; of those the newest are kept."""
        await self._keys.finish(tx, Scope(user_id, PLACE_ORDER, key), _stored(reply))
        await self._keys.keep_newest_refused(tx, user_id)

    async def keep_address(self, tx: Transaction, order: Order, address: str) -> None:
        """Where the parcel goes, as the buyer's address was when this attempt began.

        Raises Unauthenticated when the buyer was erased since it was asked for.
        """
        kept = await tx.execute(
            "INSERT INTO order_address (order_id, user_id, address)"
            f" SELECT $1, $2, $3 WHERE {IS_NOT_ERASED.format('$2')}"
            " ON CONFLICT (order_id) DO UPDATE SET address = excluded.address",
            *(order.id, order.user_id, address),
            expect_rows=1,
        )
        if not kept:
            raise account_erased()

    async def require_buyer(self, tx: Transaction, user_id: str) -> None:
        """Raises Unauthenticated for a buyer who was erased."""
        await self._erased.require_known(tx, user_id)

    async def erase_addresses(self, tx: Transaction, user_id: str) -> None:
        """Forgets where a buyer's parcels went; no address of theirs is kept from now on."""
        await self._erased.erase(tx, user_id)
        await tx.execute("DELETE FROM order_address WHERE user_id = $1", user_id)

    async def erase_late(self, tx: Transaction) -> int:
        """Forgets the addresses that orders kept in the very moment of an erasure; returns how many."""
        return await tx.execute(f"DELETE FROM order_address WHERE user_id IN ({ALL_ERASED})")

    async def _scope(self, tx: Transaction, order_id: str) -> Scope:
        if (known := self._scopes.get(order_id)) is not None:
            return known
        row = await tx.fetch_one("SELECT user_id, key FROM order_key WHERE order_id = $1", order_id)
        if row is None:
            raise _not_found(order_id)
        return Scope(row["user_id"], PLACE_ORDER, row["key"])


def _standing(order: Order) -> tuple[str, bool]:
    """What decides whether the others are told: the same standing is not told twice."""
    return order.status.value, order.retryable


def _event(row: RecordedEvent) -> Event:
    return from_json(row.type, row.payload)


def _shown(row: Row) -> Shown:
    return Shown(row["created_at"], pb.Order.FromString(row["body"]))


def _stored(reply: Message | DomainError) -> StoredReply:
    return StoredReply.refused(reply) if isinstance(reply, DomainError) else StoredReply.done(reply)


def _not_found(order_id: str) -> DomainError:
    return DomainError("ORDER_NOT_FOUND", f"there is no order {order_id!r}")
