"""A participant's branches that have ended, in SQL."""

from enum import StrEnum

from souk.store.database import Transaction


class BranchEnd(StrEnum):
    """How a branch ended."""

    COMMITTED = "committed"
    ROLLED_BACK = "rolled back"


async def insert(tx: Transaction, key: str, end: BranchEnd) -> bool:
    """Records the end of a branch; returns False if one is recorded. Waits for a prepared branch of that key to end."""
    sql = "INSERT INTO souk_two_phase_branch (key, state) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING"
    return await tx.execute(sql, key, end.value, expect_rows=1) == 1


async def find(tx: Transaction, key: str) -> BranchEnd | None:
    """Returns how a branch ended; None if it has not, or never was."""
    row = await tx.fetch_one("SELECT state FROM souk_two_phase_branch WHERE key = $1", key)
    return None if row is None else BranchEnd(row["state"])
