"""Charges and refunds in SQL."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from marketplace.payment.domain import Payment, Purpose, Refund, Status
from souk.sdk import MICROSECONDS, Backoff, Row, Transaction, history_line

T = TypeVar("T", Payment, Refund)

RETRIES = Backoff(initial=2.0, cap=3_600.0, jitter=0.0)
"""How long recovery waits between its tries to finish a charge or refund."""

COLUMNS = (
    "id, key, purpose, order_id, user_id, amount, currency, source, method, status, cancelled, decline_reason,"
    " refunded, promised, created_at, attempt, released, shared"
)
_INSERT = f"""
    INSERT INTO payments ({COLUMNS}, next_try_at, tries, history)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
        $19, 0, {{line}})
    ON CONFLICT (key) DO NOTHING
"""
_FIND = f"SELECT {COLUMNS} FROM payments WHERE id = $1"
_FIND_BY_KEY = f"SELECT {COLUMNS} FROM payments WHERE key = $1"
_UPDATE = """
    UPDATE payments SET status = $2, cancelled = $3, decline_reason = $4, refunded = $5, promised = $6,
        next_try_at = $7, tries = 0, attempt = $8, released = $9, shared = $10,
        history = history || CASE WHEN status = $2 AND cancelled = $3 THEN '' ELSE {line} END
    WHERE id = $1
"""
_CAPTURE = """
    UPDATE payments SET status = 'CAPTURED', next_try_at = NULL, history = history || {line}
    WHERE id = $1 AND status = 'PENDING' AND cancelled = $2 AND attempt = $3 AND NOT released
"""
_GET = f"SELECT {COLUMNS} FROM payments WHERE id = $1 AND user_id = $2 AND purpose = 'order'"
_PAGE = f"""
    SELECT {COLUMNS} FROM payments WHERE user_id = $1 AND id < $2 AND purpose = 'order' ORDER BY id DESC LIMIT $3
"""
_OPEN_TOP_UPS = f"""
    SELECT {COLUMNS} FROM payments WHERE user_id = $1 AND purpose = 'top-up' AND status = 'PENDING'
"""
_SPENT_FROM_WALLET = """
    SELECT CAST(COALESCE(SUM(amount - refunded), 0) AS BIGINT) AS spent FROM payments
    WHERE user_id = $1 AND source = 'wallet' AND status IN ('CAPTURED', 'PARTIALLY_REFUNDED')
"""
_STANDING = """
    SELECT {columns} FROM payments
    WHERE id > $1 AND purpose = 'order' AND status IN ('CAPTURED', 'PARTIALLY_REFUNDED')
        AND NOT cancelled AND promised < amount AND created_at <= {now} - CAST($2 AS BIGINT)
    ORDER BY id LIMIT $3
"""
_DUE = f"""
    SELECT {COLUMNS}, tries FROM payments WHERE next_try_at <= $1 ORDER BY next_try_at LIMIT $2
"""
_PUT_OFF = "UPDATE payments SET next_try_at = $2, tries = tries + 1 WHERE id = $1"

_REFUND_COLUMNS = "id, key, payment_id, amount, reason, undo, done, created_at"
_INSERT_REFUND = f"""
    INSERT INTO refunds ({_REFUND_COLUMNS}, next_try_at, tries) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0)
"""
_REFUND_SHOWN = (
    f"{_REFUND_COLUMNS}, attempt, pending, (SELECT p.attempt FROM payments p WHERE p.id = payment_id) AS charge_attempt"
)
_UPDATE_REFUND = "UPDATE refunds SET attempt = $2, pending = $3, next_try_at = $4 WHERE id = $1 AND NOT done"
_FIND_REFUND = f"SELECT {_REFUND_SHOWN} FROM refunds WHERE key = $1"
_FINISH_REFUND = "UPDATE refunds SET done = $2, next_try_at = NULL WHERE id = $1 AND NOT done"
_OPEN_REFUNDS = f"SELECT {_REFUND_SHOWN} FROM refunds WHERE payment_id = $1 AND NOT done ORDER BY id"
_REFUNDS_DUE = f"""
    SELECT {_REFUND_SHOWN}, tries FROM refunds WHERE next_try_at <= $1 ORDER BY next_try_at LIMIT $2
"""
_PUT_OFF_REFUND = "UPDATE refunds SET next_try_at = $2, tries = tries + 1 WHERE id = $1"
_LAST = "\x7f"
"""Sorts after every id."""


class PaymentStore:
    """Stores charges and refunds, in the caller's transaction. `find` locks what it returns until that ends."""

    async def insert(self, tx: Transaction, payment: Payment, next_try_at: int | None) -> bool:
        """Records a charge under a new key; returns False when the key is known, or recorded concurrently."""
        p = payment
        who = (p.id, p.key, p.purpose.value, p.order_id, p.user_id)
        what = (p.amount, p.currency, p.source, p.method, p.status.value, p.cancelled, p.decline_reason)
        rest = (p.refunded, p.promised, p.created_at, p.attempt, p.released, p.shared, next_try_at)
        return await tx.execute(_INSERT.format(line=_line(tx, "$10", "$11")), *who, *what, *rest, expect_rows=1) == 1

    async def find(self, tx: Transaction, payment_id: str) -> Payment | None:
        """Returns and locks the charge of an id."""
        return _maybe(await tx.fetch_one(f"{_FIND} {tx.dialect.for_update}", payment_id))

    async def find_by_key(self, tx: Transaction, key: str) -> Payment | None:
        """Returns and locks the charge of a key."""
        return _maybe(await tx.fetch_one(f"{_FIND_BY_KEY} {tx.dialect.for_update}", key))

    async def update(self, tx: Transaction, payment: Payment, next_try_at: int | None = None) -> None:
        """Records the changed fields of a charge, and when it is due for recovery, if ever."""
        p = payment
        changes = (p.status.value, p.cancelled, p.decline_reason, p.refunded, p.promised, next_try_at)
        await tx.write(_UPDATE.format(line=_line(tx, "$2", "$3")), p.id, *changes, p.attempt, p.released, p.shared)

    async def capture(self, tx: Transaction, payment: Payment) -> bool:
        """Captures a PENDING charge; returns False if it is not PENDING, or was cancelled, released or tried again."""
        sql = _CAPTURE.format(line=_line(tx, "'CAPTURED'", "$2"))
        return await tx.execute(sql, payment.id, payment.cancelled, payment.attempt, expect_rows=1) == 1

    async def get(self, tx: Transaction, payment_id: str, user_id: str) -> Payment | None:
        """Returns a charge of one of the user's orders, without a lock."""
        return _maybe(await tx.fetch_one(_GET, payment_id, user_id))

    async def page(self, tx: Transaction, user_id: str, before: str | None, limit: int) -> list[Payment]:
        """Returns a page of charges of a user's orders, the newest first, after the id `before`."""
        return [to_payment(row) for row in await tx.fetch(_PAGE, user_id, before or _LAST, limit)]

    async def standing(self, tx: Transaction, after: str, age: int, limit: int) -> list[Payment]:
        """Returns charges of orders that are captured, not undone, and older than `age`, by id after `after`."""
        rows = await tx.fetch(_STANDING.format(columns=COLUMNS, now=tx.dialect.now), after, age, limit)
        return [to_payment(row) for row in rows]

    async def open_top_ups(self, tx: Transaction, user_id: str) -> list[Payment]:
        """Returns a user's top-ups whose outcome is not known."""
        return [to_payment(row) for row in await tx.fetch(_OPEN_TOP_UPS, user_id)]

    async def spent_from_wallet(self, tx: Transaction, user_id: str) -> int:
        """Returns what may be refunded to a user's wallet: its charges less what was refunded."""
        row = await tx.fetch_one(_SPENT_FROM_WALLET, user_id)
        return int(row["spent"]) if row else 0

    async def claim(self, tx: Transaction, now: int, limit: int) -> list[Payment]:
        """Returns charges that are due for recovery, and postpones each, so that no other replica takes it.

        Each try postpones a charge for longer.
        """
        return await _claim(tx, _DUE, _PUT_OFF, to_payment, now, limit)

    async def insert_refund(self, tx: Transaction, refund: Refund, next_try_at: int | None) -> None:
        """Records a refund under a new key."""
        r = refund
        await tx.execute(
            _INSERT_REFUND, r.id, r.key, r.payment_id, r.amount, r.reason, r.undo, r.done, r.created_at, next_try_at
        )

    async def find_refund(self, tx: Transaction, key: str) -> Refund | None:
        """Returns the refund of a key, and locks the key."""
        await tx.lock(f"refund:{key}")
        row = await tx.fetch_one(_FIND_REFUND, key)
        return None if row is None else _to_refund(row)

    async def update_refund(self, tx: Transaction, refund: Refund, next_try_at: int | None) -> None:
        """Records the provider's answer about an unfinished refund, and when it is due for recovery, if ever."""
        await tx.execute(_UPDATE_REFUND, refund.id, refund.attempt, refund.pending, next_try_at)

    async def finish_refund(self, tx: Transaction, refund_id: str) -> bool:
        """Marks a refund as done; returns False when it already was."""
        return await tx.execute(_FINISH_REFUND, refund_id, True) == 1

    async def open_refunds(self, tx: Transaction, payment_id: str) -> list[Refund]:
        """Returns the refunds of a charge that are not done."""
        return [_to_refund(row) for row in await tx.fetch(_OPEN_REFUNDS, payment_id)]

    async def claim_refunds(self, tx: Transaction, now: int, limit: int) -> list[Refund]:
        """Returns refunds that are due for recovery, and postpones them as `claim` does."""
        return await _claim(tx, _REFUNDS_DUE, _PUT_OFF_REFUND, _to_refund, now, limit)


def _line(tx: Transaction, status: str, cancelled: str) -> str:
    return history_line(
        tx.dialect.now, f"CAST({status} AS TEXT) || CASE WHEN {cancelled} THEN ' cancelled' ELSE '' END"
    )


async def _claim(tx: Transaction, due: str, put_off: str, convert: Callable[[Row], T], now: int, limit: int) -> list[T]:
    rows = await tx.fetch(f"{due} {tx.dialect.skip_locked}", now, limit)
    await tx.execute_many(put_off, _put_off(rows, now))
    return [convert(row) for row in rows]


def _put_off(rows: Sequence[Row], now: int) -> list[tuple[str, int]]:
    return [(row["id"], now + round(RETRIES.longest(row["tries"] + 1) * MICROSECONDS)) for row in rows]


def _maybe(row: Row | None) -> Payment | None:
    return None if row is None else to_payment(row)


def to_payment(row: Row) -> Payment:
    """Makes a payment of its columns."""
    return Payment(
        id=row["id"],
        key=row["key"],
        purpose=Purpose(row["purpose"]),
        order_id=row["order_id"],
        user_id=row["user_id"],
        amount=row["amount"],
        currency=row["currency"],
        source=row["source"],
        method=row["method"],
        status=Status(row["status"]),
        created_at=row["created_at"],
        cancelled=bool(row["cancelled"]),
        decline_reason=row["decline_reason"],
        refunded=row["refunded"],
        promised=row["promised"],
        attempt=row["attempt"],
        released=bool(row["released"]),
        shared=bool(row["shared"]),
    )


def _to_refund(row: Row) -> Refund:
    return Refund(
        id=row["id"],
        key=row["key"],
        payment_id=row["payment_id"],
        amount=row["amount"],
        reason=row["reason"],
        undo=bool(row["undo"]),
        done=bool(row["done"]),
        created_at=row["created_at"],
        attempt=row["attempt"],
        pending=bool(row["pending"]),
        charge_attempt=row["charge_attempt"],
    )
