"""Stock, reservations and adjustments in SQL, the same on SQLite and PostgreSQL."""

import json
from collections.abc import Sequence

from marketplace.inventory.domain import MAX_PIECES, Adjustment, Item, Move, Reservation, State
from souk.sdk import Row, Transaction, history_line

_INSERT = """
    INSERT INTO reservations (key, order_id, items, state, expires_at, created_at, history)
    VALUES ($1, $2, $3, $4, $5, $6, {line}) ON CONFLICT (key) DO NOTHING
"""
_FIND = "SELECT key, order_id, items, state, expires_at FROM reservations WHERE key = $1"
_UPDATE = "UPDATE reservations SET state = $2, expires_at = $3, history = history || {line} WHERE key = $1"
_PASS_ON = "UPDATE reservations SET state = $3, history = history || {line} WHERE key = $1 AND state = $2"
_LAPSED = """
    SELECT key FROM reservations WHERE state = 'reserved' AND expires_at <= $1 ORDER BY expires_at LIMIT $2
"""
_OPEN = "SELECT count(*) AS open FROM reservations WHERE state = 'reserved'"
_AVAILABLE = "SELECT available FROM stock WHERE product_id = $1"
_HOLD = """
    UPDATE stock SET available = available - $2, reserved = reserved + $2
    WHERE product_id = $1 AND available >= $2
"""
_MOVES = {
    Move.PUT_BACK: "UPDATE stock SET reserved = reserved - $2, available = available + $2 WHERE product_id = $1",
    Move.SELL: "UPDATE stock SET reserved = reserved - $2, sold = sold + $2 WHERE product_id = $1",
    Move.TAKE_BACK: "UPDATE stock SET sold = sold - $2, available = available + $2 WHERE product_id = $1",
}
_ADD = """
    INSERT INTO stock (product_id, received, available, reserved, sold) VALUES ($1, $2, $2, 0, 0)
    ON CONFLICT (product_id) DO UPDATE SET received = stock.received + $2, available = stock.available + $2
    WHERE stock.received <= $3 - $2
    RETURNING available
"""
_TAKE = """
    UPDATE stock SET received = received - $2, available = available - $2
    WHERE product_id = $1 AND available >= $2
    RETURNING available
"""
_FIND_ADJUSTMENT = """
    SELECT caller, key, product_id, delta, reason, available FROM adjustments WHERE caller = $1 AND key = $2
"""
_INSERT_ADJUSTMENT = """
    INSERT INTO adjustments (caller, key, product_id, delta, reason, available, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


class StockStore:
    """Stores stock, reservations and adjustments, in the caller's transaction.

    `find` and `insert` serialise transactions on the same key until the transaction ends. Stock changes by
    conditional updates: it is never below zero, not even between two statements.
    """

    async def insert(self, tx: Transaction, reservation: Reservation, now: int) -> bool:
        """Records a reservation under a new key; returns False when the key is known.

        It waits for a concurrent insert of the same key to end.
        """
        inserted = await tx.execute(
            _INSERT.format(line=_line(tx, "$4")),
            reservation.key,
            reservation.order_id,
            _to_text(reservation.items),
            reservation.state.value,
            reservation.expires_at,
            now,
            expect_rows=1,
        )
        return inserted == 1

    async def find(self, tx: Transaction, key: str) -> Reservation | None:
        """Returns the reservation of a key and locks it."""
        row = await tx.fetch_one(f"{_FIND} {tx.dialect.for_update}", key)
        return None if row is None else _to_reservation(row)

    async def update(self, tx: Transaction, key: str, state: State, expires_at: int) -> None:
        """Records the state and the expiry of a reservation."""
        await tx.write(_UPDATE.format(line=_line(tx, "$2")), key, state.value, expires_at)

    async def peek(self, tx: Transaction, key: str) -> Reservation | None:
        """Returns the reservation of a key without a lock; it may change at any time."""
        row = await tx.fetch_one(_FIND, key)
        return None if row is None else _to_reservation(row)

    async def pass_on(self, tx: Transaction, known: Reservation, state: State) -> bool:
        """Changes a reservation's state and locks it; returns False when its state is no longer that of `known`."""
        sql = _PASS_ON.format(line=_line(tx, "$3"))
        return await tx.execute(sql, known.key, known.state.value, state.value, expect_rows=1) == 1

    async def hold(self, tx: Transaction, items: Sequence[Item]) -> dict[str, int]:
        """Reserves items, and returns what is available of each product that is short.

        When anything is returned, the caller must roll back. It takes one conditional update for each item, and a
        read of each one that is short.
        """
        short: dict[str, int] = {}
        for item in items:
            if not await self._hold(tx, item):
                available = await self._settled(tx, item)
                if available is not None:
                    short[item.product_id] = available
        return short

    async def _hold(self, tx: Transaction, item: Item) -> bool:
        return await tx.execute(_HOLD, item.product_id, item.quantity, expect_rows=1) == 1

    async def _settled(self, tx: Transaction, item: Item) -> int | None:
        """Returns what is available of a short item; None if stock came back meanwhile and was reserved after all."""
        row = await tx.fetch_one(f"{_AVAILABLE} {tx.dialect.for_update}", item.product_id)
        available = 0 if row is None else int(row["available"])
        if available >= item.quantity and await self._hold(tx, item):
            return None
        return available

    async def move(self, tx: Transaction, items: Sequence[Item], move: Move) -> None:
        """Makes a move other than HOLD: its pieces are known to be there, and the table's constraints check it."""
        await tx.execute_many(_MOVES[move], [(item.product_id, item.quantity) for item in items])

    async def lapsed(self, tx: Transaction, now: int, limit: int) -> list[str]:
        """Returns the keys of reservations past their expiry, the oldest first."""
        return [row["key"] for row in await tx.fetch(_LAPSED, now, limit)]

    async def count_open(self, tx: Transaction) -> int:
        """Counts the reservations that hold stock."""
        return int((await tx.fetch(_OPEN))[0]["open"])

    async def glance(self, tx: Transaction, key: str, items: Sequence[Item]) -> dict[str, int] | None:
        """Returns what is available of each product that is short now; None if `key` is known or nothing is short.

        It is one statement without locks.
        """
        marks = ", ".join(f"${number}" for number in range(2, len(items) + 2))
        sql = f"""
            SELECT '' AS product_id, count(*) AS available FROM reservations WHERE key = $1
            UNION ALL SELECT product_id, available FROM stock WHERE product_id IN ({marks})
        """
        found = {
            row["product_id"]: int(row["available"])
            for row in await tx.fetch(sql, key, *(item.product_id for item in items))
        }
        if found.pop(""):
            return None
        short = {item.product_id: found.get(item.product_id, 0) for item in items}
        return {
            item.product_id: short[item.product_id] for item in items if short[item.product_id] < item.quantity
        } or None

    async def available(self, tx: Transaction, product_id: str) -> int | None:
        """Returns the number of available pieces; None for a product that never had stock."""
        row = await tx.fetch_one(_AVAILABLE, product_id)
        return None if row is None else int(row["available"])

    async def find_adjustment(self, tx: Transaction, caller: str, key: str) -> Adjustment | None:
        """Returns the adjustment that a caller made under a key; concurrent ones with that key wait."""
        await tx.lock(f"adjustment:{caller}:{key}")
        row = await tx.fetch_one(_FIND_ADJUSTMENT, caller, key)
        return None if row is None else _to_adjustment(row)

    async def adjust(self, tx: Transaction, product_id: str, delta: int) -> int | None:
        """Adds or takes pieces in one statement, and returns what is available then; None if the limits forbid it."""
        if delta > 0:
            row = await tx.fetch_one(_ADD, product_id, delta, MAX_PIECES)
        else:
            row = await tx.fetch_one(_TAKE, product_id, -delta)
        return None if row is None else int(row["available"])

    async def insert_adjustment(self, tx: Transaction, adjustment: Adjustment, now: int) -> None:
        """Records an adjustment."""
        a = adjustment
        await tx.execute(_INSERT_ADJUSTMENT, a.caller, a.key, a.product_id, a.delta, a.reason, a.available, now)


def _line(tx: Transaction, state: str) -> str:
    return history_line(tx.dialect.now, f"CAST({state} AS TEXT)")


def _to_text(items: Sequence[Item]) -> str:
    return json.dumps([[item.product_id, item.quantity] for item in items], separators=(",", ":"))


def _to_reservation(row: Row) -> Reservation:
    items = tuple(Item(product_id, quantity) for product_id, quantity in json.loads(row["items"]))
    return Reservation(row["key"], row["order_id"], items, State(row["state"]), row["expires_at"])


def _to_adjustment(row: Row) -> Adjustment:
    return Adjustment(row["caller"], row["key"], row["product_id"], row["delta"], row["reason"], row["available"])
