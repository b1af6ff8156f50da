"""Which runs are due: they have something to do, and the lease on them is over.

The lease of a run that waits ends with its wait; that of a run whose message has come, or that its owner has let go,
ended at that moment. So the order of leases is that in which runs became due, whatever they waited for.

The database's time is read in a subquery, once for a statement: else no index on the lease could be used, and each look
would read every run that waits.
"""

from math import inf

from souk.kernel.clock import MICROSECONDS
from souk.saga.definition import SagaRef
from souk.saga.versions import SagaVersions
from souk.saga.waiting.mailbox import ref_of
from souk.store.database import Transaction


async def due_runs(tx: Transaction, limit: int, versions: SagaVersions) -> list[SagaRef]:
    """Returns runs that are due, the longest first, if they began by one of these definitions.

    They stay locked until the transaction ends, if the database locks rows; those that others have locked are left out.
    """
    drivable, values = versions.drivable(2)
    rows = await tx.fetch(
        f"""SELECT subject, saga, attempt FROM souk_saga_run r
            WHERE active AND paused_at = 0 AND lease_until <= (SELECT {tx.dialect.now}) AND {drivable}
            ORDER BY lease_until LIMIT $1 {tx.dialect.skip_locked}""",
        *(limit, *values),
    )
    return [ref_of(row) for row in rows]


async def next_due(tx: Transaction) -> float:
    """Returns the seconds until the next run will be due, if nothing else happens to it; infinite if there is none."""
    row = await tx.fetch_one(
        f"""SELECT lease_until - {tx.dialect.now} AS remaining FROM souk_saga_run
            WHERE active AND paused_at = 0 AND lease_until > (SELECT {tx.dialect.now})
            ORDER BY lease_until LIMIT 1"""
    )
    return inf if row is None else max(row["remaining"] / MICROSECONDS, 0.0)
