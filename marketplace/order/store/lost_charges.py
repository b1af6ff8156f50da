"""Charges that belong to no order, in SQL."""

from collections.abc import Iterable, Mapping

from souk.sdk import Transaction


class LostChargeStore:
    """Stores each lost charge once, by its payment, and whether it is open."""

    async def found(self, tx: Transaction, payment_id: str, kind: str) -> bool:
        """Stores a lost charge that was found; returns whether it is new."""
        is_new = await tx.execute(
            "INSERT INTO lost_charges (payment_id, kind, is_open) VALUES ($1, $2, TRUE)"
            " ON CONFLICT (payment_id) DO NOTHING",
            payment_id,
            kind,
        )
        if not is_new:
            await tx.execute("UPDATE lost_charges SET is_open = TRUE WHERE payment_id = $1", payment_id)
        return is_new > 0

    async def close(self, tx: Transaction, payment_ids: Iterable[str]) -> None:
        """Closes charges that were given back, or no longer stand."""
        rows = [(payment_id,) for payment_id in sorted(payment_ids)]
        if rows:
            await tx.execute_many("UPDATE lost_charges SET is_open = FALSE WHERE payment_id = $1", rows)

    async def open_ids(self, tx: Transaction) -> frozenset[str]:
        """Returns the payments of the charges that are open."""
        return frozenset(
            row["payment_id"] for row in await tx.fetch("SELECT payment_id FROM lost_charges WHERE is_open")
        )

    async def count_open(self, tx: Transaction) -> Mapping[str, int]:
        """Counts the open charges by kind."""
        rows = await tx.fetch("SELECT kind, COUNT(*) AS n FROM lost_charges WHERE is_open GROUP BY kind")
        return {row["kind"]: row["n"] for row in rows}
