"""Differences between the provider's record and the book, in SQL. Times are those of the database's clock."""

from collections.abc import Mapping, Sequence

from souk.sdk import Transaction


class DifferenceStore:
    """Stores each difference once, under the provider's key of its charge, and whether it is open."""

    async def found(self, tx: Transaction, key: str, kind: str) -> bool:
        """Stores a difference that was found; returns whether it is new, of another kind, or open again."""
        now = tx.dialect.now
        is_new = await tx.execute(
            f"""
            INSERT INTO differences (charge_key, kind, is_open, seen_at) VALUES ($1, $2, TRUE, {now})
            ON CONFLICT (charge_key) DO UPDATE SET kind = excluded.kind, is_open = TRUE, seen_at = excluded.seen_at
            WHERE differences.kind <> excluded.kind OR NOT differences.is_open
            """,
            key,
            kind,
        )
        if not is_new:
            await tx.execute(f"UPDATE differences SET seen_at = {now} WHERE charge_key = $1", key)
        return is_new > 0

    async def close(self, tx: Transaction, key: str) -> None:
        """Closes a difference that was corrected."""
        await tx.execute("UPDATE differences SET is_open = FALSE WHERE charge_key = $1", key)

    async def close_unseen(self, tx: Transaction, except_kind: str) -> None:
        """Closes what was not found since the last sweep of the record began, except differences of one kind."""
        await tx.execute(
            "UPDATE differences SET is_open = FALSE WHERE is_open AND kind <> $1"
            " AND seen_at < (SELECT swept_at FROM reconciliation)",
            except_kind,
        )

    async def open_keys(self, tx: Transaction, kind: str, limit: int) -> Sequence[str]:
        """Returns the keys of open differences of one kind, the one that was found longest ago first."""
        rows = await tx.fetch(
            "SELECT charge_key FROM differences WHERE is_open AND kind = $1 ORDER BY seen_at LIMIT $2", kind, limit
        )
        return [row["charge_key"] for row in rows]

    async def count_open(self, tx: Transaction) -> Mapping[str, int]:
        """Counts the open differences by kind."""
        rows = await tx.fetch("SELECT kind, COUNT(*) AS n FROM differences WHERE is_open GROUP BY kind")
        return {row["kind"]: row["n"] for row in rows}
