"""The read model: one row an order, as its buyer sees it, in each generation that is kept.

It changes in the transaction that appends the events, so that buyers read their own writes.
"""

from collections.abc import Iterable, Sequence

from marketplace.order.domain.order import Order, Status
from marketplace.order.domain.shown import ShownOrder
from marketplace.order.messages import body_of, payment_of
from souk.sdk import DomainError, Generations, Row, Transaction, Value

READ_MODEL = "read-model"

_COLUMNS = "id, user_id, status, created_at, version, body"
# An older version never replaces a newer one: a rebuild and a change may write the same order in any order.
_IF_NEWER = """
    ON CONFLICT (id, generation) DO UPDATE
    SET status = excluded.status, version = excluded.version, body = excluded.body
    WHERE orders.version < excluded.version
"""


class OrderReadModel:
    """Reads the orders of the live generation, and writes those of every generation that is kept."""

    def __init__(self) -> None:
        self.generations = generations = Generations(READ_MODEL)
        self._live = f"generation = {generations.live}"
        self._show = f"""
            INSERT INTO orders ({_COLUMNS}, generation)
            SELECT $1, $2, $3, CAST($4 AS BIGINT), CAST($5 AS BIGINT), $6, generation
            FROM {generations.kept} {_IF_NEWER}
        """

    async def shown(self, tx: Transaction, user_id: str, order_id: str) -> ShownOrder:
        """Returns one order as its buyer sees it; raises ORDER_NOT_FOUND also for another user's order."""
        sql = f"SELECT id, created_at, body FROM orders WHERE id = $1 AND user_id = $2 AND {self._live}"
        row = await tx.fetch_one(sql, order_id, user_id)
        if row is None:
            raise order_not_found(order_id)
        return _shown(row)

    async def page(
        self, tx: Transaction, user_id: str, limit: int, after: Sequence[int | str] | None
    ) -> list[ShownOrder]:
        """Returns at most `limit` of a buyer's orders, the newest first, starting after `after` (created_at, id)."""
        columns = f"SELECT id, created_at, body FROM orders WHERE user_id = $1 AND {self._live}"
        order = "ORDER BY created_at DESC, id DESC LIMIT $2"
        if after is None:
            rows = await tx.fetch(f"{columns} {order}", user_id, limit)
        else:
            rows = await tx.fetch(f"{columns} AND (created_at, id) < ($3, $4) {order}", user_id, limit, *after)
        return [_shown(row) for row in rows]

    async def is_paid_by(self, tx: Transaction, order_id: str, payment_id: str) -> bool:
        """Tells whether the order was confirmed by that payment and is not cancelled."""
        sql = f"SELECT id, status, created_at, body FROM orders WHERE id = $1 AND {self._live}"
        row = await tx.fetch_one(sql, order_id)
        if row is None or row["status"] == Status.CANCELLED.value:
            return False
        return payment_of(_shown(row)) == payment_id

    async def show(self, tx: Transaction, order: Order) -> None:
        """Writes an order as it is now, into every generation that is kept."""
        await tx.write(self._show, *_values(order))

    # for a rebuild

    async def fill(self, tx: Transaction, generation: int, orders: Iterable[Order]) -> None:
        """Writes orders into one generation, except those of which it has a version as new."""
        sql = f"INSERT INTO orders ({_COLUMNS}, generation) VALUES ($1, $2, $3, $4, $5, $6, $7) {_IF_NEWER}"
        await tx.execute_many(sql, [(*_values(order), generation) for order in orders])

    async def delete_old(self, tx: Transaction, after: str, limit: int) -> str | None:
        """Deletes what is not of the live generation, of at most `limit` orders with an id above `after`.

        Returns the last of these ids, or None when there were none.
        """
        old = f"FROM orders WHERE id > $1 AND generation <> {self.generations.live}"
        rows = await tx.fetch(f"SELECT id {old} ORDER BY id LIMIT $2", after, limit)
        if not rows:
            return None
        await tx.execute(f"DELETE {old} AND id <= $2", after, rows[-1]["id"])
        return str(rows[-1]["id"])

    async def rows(self, tx: Transaction, after: str, last: str) -> list[Row]:
        """Returns the rows of the live generation with an id above `after` and up to `last`, by id."""
        sql = f"SELECT {_COLUMNS} FROM orders WHERE id > $1 AND id <= $2 AND {self._live} ORDER BY id"
        return await tx.fetch(sql, after, last)

    async def row(self, tx: Transaction, order_id: str) -> Row | None:
        """Returns the row of one order in the live generation, if there is one."""
        return await tx.fetch_one(f"SELECT {_COLUMNS} FROM orders WHERE id = $1 AND {self._live}", order_id)

    async def without_events(self, tx: Transaction, after: str, limit: int) -> list[str]:
        """Returns at most `limit` ids above `after` of the live generation for which there is no event."""
        sql = f"""
            SELECT id FROM orders WHERE id > $1 AND {self._live}
            AND NOT EXISTS (SELECT 1 FROM souk_event_store WHERE stream = orders.id) ORDER BY id LIMIT $2
        """
        return [row["id"] for row in await tx.fetch(sql, after, limit)]


def order_not_found(order_id: str) -> DomainError:
    """Makes the refusal for an order that does not exist, or is another user's."""
    return DomainError("ORDER_NOT_FOUND", f"there is no order {order_id!r}")


def _values(order: Order) -> tuple[Value, ...]:
    return (order.id, order.user_id, order.status.value, order.created_at, order.version, body_of(order))


def _shown(row: Row) -> ShownOrder:
    return ShownOrder(row["id"], row["created_at"], row["body"])
