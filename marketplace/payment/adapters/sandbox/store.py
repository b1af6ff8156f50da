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
    """A charge in the book. It happens at `settles_at`, in microseconds since 1970."""

    key: str
    token: str
    amount: int
    currency: str
    verdict: str
    reason: str
    settles_at: int


class Book:
    """What the bank did, for ever."""

    async def identity(self, tx: Transaction, new: str) -> str:
        """The name of the book, which is `new` if it had none."""
        await tx.execute(_NAME, new)
        row = await tx.fetch_one(_IDENTITY)
        assert row is not None, "the book has a name now"
        return str(row["book"])

    async def insert(self, tx: Transaction, entry: Entry) -> bool:
        """Enters a charge; False when its key is there."""
        e = entry
        values = (e.key, e.token, e.amount, e.currency, e.verdict, e.reason, e.settles_at)
        return await tx.execute(_INSERT, *values) == 1

    async def find(self, tx: Transaction, key: str) -> Entry | None:
        """The charge of a key."""
        row = await tx.fetch_one(_FIND, key)
        return None if row is None else Entry(*(row[name] for name in Entry.__slots__))

    async def page(self, tx: Transaction, after: str, limit: int) -> list[tuple[Entry, int]]:
        """Charges in the order of their entry, each with what was given back of it."""
        rows = await tx.fetch(_PAGE, after, limit)
        return [(Entry(*(row[name] for name in Entry.__slots__)), int(row["refunded"])) for row in rows]

    async def knows_refund(self, tx: Transaction, key: str) -> bool:
        """Whether a refund was made under this key."""
        return await tx.fetch_one(_REFUND_OF_KEY, key) is not None

    async def void(self, tx: Transaction, key: str, now: int) -> None:
        """Voids a charge that has not settled."""
        await tx.execute(_VOID, key, now)

    async def settle(self, tx: Transaction, key: str) -> None:
        """Ends the time in which a slow charge could be voided, whatever the clock says."""
        await tx.execute(_SETTLE, key)

    async def refund(self, tx: Transaction, key: str, charge_key: str, amount: int) -> bool:
        """Gives back, once for each key; False when there is not that much of the charge left."""
        if await tx.execute(_INSERT_REFUND, key, charge_key, amount) == 0:
            return True
        return await tx.execute(_REFUND, charge_key, amount) == 1

    async def taken(self, tx: Transaction, currency: str) -> int:
        """What was charged and not given back."""
        row = await tx.fetch_one(_TAKEN, currency)
        return 0 if row is None else int(row["taken"] or 0)
