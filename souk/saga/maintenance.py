"""Queries and changes of recorded sagas for metrics and the clean-up. They need no definition of a saga."""

from souk.kernel.clock import MICROSECONDS
from souk.store.database import Transaction

_KEY = "subject = $1 AND saga = $2 AND attempt = $3"


async def end_leases(tx: Transaction) -> None:
    """Ends all leases on this database. Only for a process that knows that no other one uses it."""
    await tx.execute("UPDATE souk_saga_run SET lease_until = 0 WHERE active")


async def counts(tx: Transaction) -> dict[tuple[str, str], int]:
    """Counts the open runs by saga and phase; those that wait for an operator count as `parked` or `paused`."""
    rows = await tx.fetch(
        """SELECT saga, count(*) AS runs,
                CASE WHEN paused_at <> 0 THEN 'paused' WHEN parked OR unknown_step <> '' THEN 'parked'
                     ELSE phase END AS standing
           FROM souk_saga_run WHERE NOT ended GROUP BY 1, 3"""
    )
    return {(row["saga"], row["standing"]): row["runs"] for row in rows}


async def forget(tx: Transaction, older_than: float, limit: int) -> int:
    """Drops the data of up to `limit` runs that ended more than `older_than` seconds ago; returns how many.

    The data are the input and the steps' results, which only steps read. The run and its outcome stay:
    a subject and attempt may be used only once, and the outcome of an old attempt may still be asked for.
    """
    rows = await tx.fetch(
        f"""SELECT subject, saga, attempt FROM souk_saga_run
            WHERE ended AND NOT forgotten AND changed_at < {tx.dialect.now} - $1
            ORDER BY changed_at LIMIT $2 {tx.dialect.skip_locked}""",
        *(round(older_than * MICROSECONDS), limit),
    )
    keys = [(row["subject"], row["saga"], row["attempt"], b"") for row in rows]
    if keys:
        await tx.execute_many(f"UPDATE souk_saga_run SET input = $4, forgotten = TRUE WHERE {_KEY}", keys)
        await tx.execute_many(f"UPDATE souk_saga_step SET result = $4 WHERE {_KEY}", keys)
    return len(keys)
