"""The progress of the comparison with the provider's record, in SQL. Times are those of the database's clock."""

from dataclasses import dataclass

from marketplace.payment.domain import Payment
from marketplace.payment.store.payments import COLUMNS, to_payment
from souk.sdk import Transaction


@dataclass(frozen=True, slots=True)
class Position:
    """The key of the provider's record (`record`) and the payment (`ours`) after which the comparison goes on."""

    record: str
    ours: str


class ComparisonStore:
    """Stores the progress of the comparison. Times are microseconds of the database's clock."""

    async def claim(self, tx: Transaction, interval: int, sweep: int) -> Position | None:
        """Returns the position to the first replica that asks after `interval`, and None to the others.

        Once every `sweep` the position is the beginning of the record.
        """
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
        """Stores the position that the comparison has reached."""
        await tx.execute("UPDATE reconciliation SET position = $1, ours = $2", position.record, position.ours)

    async def payment(self, tx: Transaction, payment_id: str, age: int) -> tuple[Payment | None, bool]:
        """Returns a payment, and whether it is older than `age`."""
        row = await tx.fetch_one(
            f"SELECT {COLUMNS}, created_at < {tx.dialect.now} - CAST($2 AS BIGINT) AS ripe FROM payments WHERE id = $1",
            payment_id,
            age,
        )
        return (None, True) if row is None else (to_payment(row), bool(row["ripe"]))

    async def captured(self, tx: Transaction, after: str, age: int, limit: int) -> list[Payment]:
        """Returns captured charges of cards that are older than `age`, by id after `after`."""
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
        """Counts refunds that the provider keeps failing to make; they wait to be requested again."""
        row = await tx.fetch_one("SELECT COUNT(*) AS n FROM refunds WHERE NOT done AND next_try_at IS NULL")
        return int(row["n"]) if row else 0
