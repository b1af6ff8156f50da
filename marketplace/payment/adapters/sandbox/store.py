"""The sandbox bank's book in SQL."""

from dataclasses import dataclass

from souk.sdk import Transaction

_INSERT = """
    INSERT INTO charges (key, token, amount, currency, verdict, reason, refunded, settles_at)
    VALUES ($1, $2, $3, $4, $5, $6, 0, $7) ON CONFLICT (key) DO NOTHING
"""
_FIND = "SELECT key, token, amount, currency, verdict, reason, settles_at FROM charges WHERE key = $1"
_PAGE = """
    SELECT key, token, amount, currency, verdict, reason, settles_at, refunded FROM charges
    WHERE rowid > COALESCE((SELECT rowid FROM charges WHERE key = $1), 0) ORDER BY rowid LIMIT $2
"""
_REFUND_OF_KEY = "SELECT key FROM refunds WHERE key = $1"
_VOID = "UPDATE charges SET verdict = 'voided' WHERE key = $1 AND verdict = 'charged' AND settles_at > $2"
_SETTLE = "UPDATE charges SET settles_at = 0 WHERE key = $1 AND verdict = 'charged'"
_INSERT_REFUND = "INSERT INTO refunds (key, charge_key, amount) VALUES ($1, $2, $3) ON CONFLICT (key) DO NOTHING"
_REFUND = """
    UPDATE charges SET refunded = refunded + $2 WHERE key = $1 AND verdict = 'charged' AND refunded + $2 <= amount
"""
_TAKEN = "SELECT SUM(amount - refunded) AS taken FROM charges WHERE verdict = 'charged' AND currency = $1"
_NAME = "INSERT INTO identity (only_one, book) VALUES (1, $1) ON CONFLICT (only_one) DO NOTHING"
_IDENTITY = "SELECT book FROM identity"


@dataclass(frozen=True, slots=True)
class Entry:
    """A charge in the book. It can be voided until `settles_at`, in microseconds since 1970."""

    key: str
    token: str
    amount: int
    currency: str
    verdict: str
    reason: str
    settles_at: int


class Book:
    """Stores the bank's charges and refunds; they are never deleted."""

    async def identity(self, tx: Transaction, new: str) -> str:
        """Returns the id of the book; sets it to `new` if it has none."""
        await tx.execute(_NAME, new)
        row = await tx.fetch_one(_IDENTITY)
        assert row is not None, "the book has a name now"
        return str(row["book"])

    async def insert(self, tx: Transaction, entry: Entry) -> bool:
        """Adds a charge; returns False when its key is known."""
        e = entry
        values = (e.key, e.token, e.amount, e.currency, e.verdict, e.reason, e.settles_at)
        return await tx.execute(_INSERT, *values) == 1

    async def find(self, tx: Transaction, key: str) -> Entry | None:
        """Returns the charge of a key, if there is one."""
        row = await tx.fetch_one(_FIND, key)
        return None if row is None else Entry(*(row[name] for name in Entry.__slots__))

    async def page(self, tx: Transaction, after: str, limit: int) -> list[tuple[Entry, int]]:
        """Returns at most `limit` charges in the order of their entry, each with the amount refunded of it."""
        rows = await tx.fetch(_PAGE, after, limit)
        return [(Entry(*(row[name] for name in Entry.__slots__)), int(row["refunded"])) for row in rows]

    async def knows_refund(self, tx: Transaction, key: str) -> bool:
        """Tells whether a refund was made under this key."""
        return await tx.fetch_one(_REFUND_OF_KEY, key) is not None

    async def void(self, tx: Transaction, key: str, now: int) -> None:
        """Voids a charge that has not settled."""
        await tx.execute(_VOID, key, now)

    async def settle(self, tx: Transaction, key: str) -> None:
        """Settles a slow charge, so that it cannot be voided any more, whatever the clock says."""
        await tx.execute(_SETTLE, key)

    async def refund(self, tx: Transaction, key: str, charge_key: str, amount: int) -> bool:
        """Records a refund, once for each key; returns False when less than that is left of the charge."""
        if await tx.execute(_INSERT_REFUND, key, charge_key, amount) == 0:
            return True
        return await tx.execute(_REFUND, charge_key, amount) == 1

    async def taken(self, tx: Transaction, currency: str) -> int:
        """Returns what was charged and not refunded, in minor units."""
        row = await tx.fetch_one(_TAKEN, currency)
        return 0 if row is None else int(row["taken"] or 0)
