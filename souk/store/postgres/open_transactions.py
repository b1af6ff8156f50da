"""Which transactions are open on a database of PostgreSQL, in all processes that use it.

Each is named by its session and its start. Those of other roles are left out: a service's role is the only writer of
its database, and a backup that reads for long is no reason to wait.
"""

from typing import cast

from souk.store.database import Transaction

OPEN_LIMIT = 60.0
"""Seconds to wait for the end of the transactions that are open."""
OPEN_POLL = 0.02
"""Seconds between two looks at them."""
_OPEN = """
    SELECT pid, CAST(extract(epoch FROM xact_start) * 1000000 AS BIGINT) AS began FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
"""


async def open_transactions(tx: Transaction) -> set[tuple[int, int]]:
    """Returns the open transactions but this one, each as its session's process and its start in microseconds."""
    return {(cast(int, row["pid"]), cast(int, row["began"])) for row in await tx.fetch(_OPEN)}
