"""The orders of the service: the event log, the read model that follows it, keys and addresses.

The read model changes in the transaction that appends the events, so that buyers read their own writes.
"""

from collections.abc import Sequence
from functools import partial

from google.protobuf.message import Message

from marketplace.order.domain.order import Order, apply, fold, is_visible
from marketplace.order.events import Event, event_of, stored
from marketplace.order.messages import published, stored_reply
from marketplace.order.store.read_model import OrderReadModel, order_not_found
from marketplace.order.store.recent_orders import RecentOrders
from marketplace.order.store.snapshots import SNAPSHOTS, order_of, state_of
from souk.sdk import (
    ALL_ERASED,
    IS_NOT_ERASED,
    Clock,
    DomainError,
    ErasedSubjects,
    EventStore,
    Idempotency,
    KeyRecord,
    Outbox,
    Scope,
    StoredReply,
    Transaction,
    VersionConflict,
    account_erased,
)

PLACE_ORDER = "/shop.order.v1.OrderService/PlaceOrder"


class OrderStore:
    """Stores the event log, the read model that changes with it, keys and addresses, in the caller's transaction."""

    def __init__(self, outbox: Outbox, clock: Clock) -> None:
        self._outbox = outbox
        self._clock = clock
        self.read_model = OrderReadModel()
        self._log = EventStore()
        self._keys = Idempotency()
        self._erased = ErasedSubjects()
        # The orders as of this process's last committed change: perhaps not the latest version.
        self._orders = RecentOrders[Order]()
        # A scope and a reply never change once they are stored.
        self._scopes = RecentOrders[Scope]()
        self._replies = RecentOrders[StoredReply]()

    # the log

    async def load(self, tx: Transaction, order_id: str) -> Order:
        """Returns the fold of the order's events, from its snapshot on if it has one; a NEW order without events."""
        snapshot, rows = await SNAPSHOTS.load(tx, order_id)
        start = Order(order_id) if snapshot is None else order_of(snapshot.state)
        return fold(start, ((event_of(row), row.time) for row in rows))

    async def load_whole(self, tx: Transaction, order_id: str) -> Order:
        """Returns the fold of all the order's events, whatever its snapshot says."""
        return fold(Order(order_id), await self.history(tx, order_id))

    async def drop_snapshot(self, tx: Transaction, order_id: str) -> None:
        """Deletes the order's snapshot, so that all its events are folded again."""
        await SNAPSHOTS.drop(tx, order_id)

    async def load_recent(self, tx: Transaction, order_id: str) -> Order:
        """Returns the order from the cache if it is there, else as `load`.

        The cached order may be old. That is safe for a caller that appends events to it: `change` then raises
        VersionConflict.
        """
        return self._orders.get(order_id) or await self.load(tx, order_id)

    async def load_known(self, tx: Transaction, order_id: str) -> Order:
        """Returns the order as `load`; raises ORDER_NOT_FOUND when there is none."""
        order = await self.load(tx, order_id)
        if not order.version:
            raise order_not_found(order_id)
        return order

    async def load_own(self, tx: Transaction, user_id: str, order_id: str) -> Order:
        """Returns an order of the user; raises ORDER_NOT_FOUND also for another user's order."""
        order = await self.load_known(tx, order_id)
        if order.user_id != user_id:
            raise order_not_found(order_id)
        return order

    async def load_past(self, tx: Transaction, user_id: str, order_id: str, time: int) -> Order:
        """Returns an order of the user as it was at `time`, in microseconds since 1970.

        Raises ORDER_NOT_FOUND also for a time before it was placed.
        """
        order = fold(Order(order_id), [(event, at) for event, at in await self.history(tx, order_id) if at <= time])
        if not order.version or order.user_id != user_id:
            raise order_not_found(order_id)
        return order

    async def history(self, tx: Transaction, order_id: str) -> list[tuple[Event, int]]:
        """Returns the order's events in order, each with its time in microseconds since 1970."""
        return [(event_of(row), row.time) for row in await self._log.load(tx, order_id)]

    async def change(self, tx: Transaction, order: Order, events: Sequence[Event]) -> Order:
        """Appends the decided events, updates the read model, and publishes what other services need to know.

        Returns the order after the events. Raises VersionConflict if others were appended since it was loaded.
        """
        if not events:
            return order
        time = max(self._clock.now(), order.last_at)
        rows = [stored(event, time) for event in events]
        try:
            await self._log.append(tx, order.id, order.version, rows)
        except VersionConflict:
            self._orders.drop(order.id)
            raise
        after, messages = order, list[tuple[str, Message]]()
        for event in events:
            before, after = after, apply(after, event, time)
            messages += published(before, after)
        await SNAPSHOTS.keep(tx, order.id, order.version, after.version, partial(state_of, after))
        if any(map(is_visible, events)):
            await self.read_model.show(tx, after)
        tx.after_commit(partial(self._orders.keep, after.id, after))
        for event_id, message in messages:
            await self._outbox.publish(tx, after.id, message, event_id=event_id)
        return after

    # keys and addresses

    async def bind_key(self, tx: Transaction, user_id: str, key: str, fingerprint: str, order_id: str) -> bool:
        """Binds a key to its request and order; returns False when another request bound it first."""
        scope = Scope(user_id, PLACE_ORDER, key)
        if not await self._keys.insert(tx, scope, fingerprint, order_id):
            return False
        if order_id:
            self._scopes.keep(order_id, scope)
            sql = "INSERT INTO order_key (order_id, user_id, key) VALUES ($1, $2, $3)"
            await tx.write(sql, order_id, user_id, key)
        return True

    async def find_key(self, tx: Transaction, user_id: str, key: str) -> KeyRecord | None:
        """Returns the record of a buyer's key, if there is one."""
        return await self._keys.find(tx, Scope(user_id, PLACE_ORDER, key))

    async def find_key_of(self, tx: Transaction, order_id: str) -> KeyRecord | None:
        """Returns the record of the key that an order was placed under."""
        return await self._keys.find(tx, await self._scope(tx, order_id))

    async def answer(self, tx: Transaction, order: Order, refusal: DomainError | None = None) -> None:
        """Stores the final answer of the key that an order was placed under: the order as it is, or the refusal."""
        stored = stored_reply(order, refusal)
        await self._keys.finish(tx, await self._scope(tx, order.id), stored)
        tx.after_commit(partial(self._replies.keep, order.id, stored))

    def answered(self, order_id: str) -> StoredReply | None:
        """Returns the final answer of an order's key if this process stored it recently; it never changes."""
        return self._replies.get(order_id)

    async def refuse_key(self, tx: Transaction, user_id: str, key: str, refusal: DomainError) -> None:
        """Stores the refusal as the final answer of a key without an order; only the newest of those are kept."""
        await self._keys.finish(tx, Scope(user_id, PLACE_ORDER, key), StoredReply.refused(refusal))
        await self._keys.keep_newest_refused(tx, user_id)

    async def keep_address(self, tx: Transaction, order: Order, address: str) -> None:
        """Stores the delivery address, as it was when this attempt began.

        Raises Unauthenticated when the buyer was erased since the address was read.
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
        """Raises Unauthenticated for a buyer whose account was erased."""
        await self._erased.require_known(tx, user_id)

    async def erase_addresses(self, tx: Transaction, user_id: str) -> None:
        """Deletes the delivery addresses of a buyer; none of theirs is stored from now on."""
        await self._erased.erase(tx, user_id)
        await tx.execute("DELETE FROM order_address WHERE user_id = $1", user_id)

    async def erase_late(self, tx: Transaction) -> int:
        """Deletes addresses that orders stored while their buyer was being erased; returns how many."""
        return await tx.execute(f"DELETE FROM order_address WHERE user_id IN ({ALL_ERASED})")

    async def _scope(self, tx: Transaction, order_id: str) -> Scope:
        if (known := self._scopes.get(order_id)) is not None:
            return known
        row = await tx.fetch_one("SELECT user_id, key FROM order_key WHERE order_id = $1", order_id)
        if row is None:
            raise order_not_found(order_id)
        return Scope(row["user_id"], PLACE_ORDER, row["key"])
