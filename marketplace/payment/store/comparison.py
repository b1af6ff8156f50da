"""How far the provider's record has been compared with this book, in SQL. The database's clock judges."""

from dataclasses import dataclass

from marketplace.payment.domain import Payment
from marketplace.payment.store.payments import COLUMNS, to_payment
from souk.sdk import Transaction


@dataclass(frozen=True, slots=True)
class Position:
    """Behind which key of the provider's record, and behind which payment of ours, the comparison goes on."""

    record: str
    ours: str


class ComparisonStore:
    """How far the record has been compared. Times are in microseconds; the database's clock judges."""

    async def claim(self, tx: Transaction, interval: int, sweep: int) -> Position | None:
        """The position, for whoever is the first after `interval`; every `sweep` it is the beginning of the record."""
        now = tx.dialect.now
        taken = await tx.execute(
            f"UPDATE reconciliation SET due_at = {now} + $1,"
            f" position = CASE WHEN swept_at < {now} - CAST($2 AS BIGINT) THEN '' ELSE position END,"
            f" swept_at = CASE WHEN swept_at < {now} - CAST($2 AS BIGINT) THEN {now} ELSE swept_at END"
            f" WHERE due_at <= {now}",
            interval,
            sweep,
        )
        row = await tx.fetch_one("SELECT position, ours FROM reconciliation") if taken else None
        return None if row is None else Position(row["position"], row["ours"])

    async def move(self, tx: Transaction, position: Position) -> None:
        """So far it has come."""
        await tx.execute("UPDATE reconciliation SET position = $1, ours = $2", position.record, position.ours)

    async def payment(self, tx: Transaction, payment_id: str, age: int) -> tuple[Payment | None, bool]:
        """A payment, and whether it is older than `age`."""
        row = await tx.fetch_one(
            f"SELECT {COLUMNS}, created_at < {tx.dialect.now} - CAST($2 AS BIGINT) AS ripe FROM payments WHERE id = $1",
            payment_id,
            age,
        )
        return (None, True) if row is None else (to_payment(row), bool(row["ripe"]))

    async def captured(self, tx: Transaction, after: str, age: int, limit: int) -> list[Payment]:
        """Charges of cards that are captured and older than `age`, behind an id."""
        rows = await tx.fetch(
            f"""
            SELECT {COLUMNS} FROM payments
            WHERE id > $1 AND created_at < {tx.dialect.now} - CAST($2 AS BIGINT) AND source <> 'wallet'
                AND status IN ('CAPTURED', 'PARTIALLY_REFUNDED', 'REFUNDED')
            ORDER BY id LIMIT $3
            """,
            after,
            age,
            limit,
        )
        return [to_payment(row) for row in rows]

    async def failed_refunds(self, tx: Transaction) -> int:
        """Refunds that the provider keeps failing to make: somebody has to ask for them again."""
        row = await tx.fetch_one("SELECT COUNT(*) AS n FROM refunds WHERE NOT done AND next_try_at IS NULL")
        return int(row["n"]) if row else 0
