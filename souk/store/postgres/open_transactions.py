"""Which transactions are open on a database of PostgreSQL, in all processes that use it.

Each is named by its session and its start. Those of other roles are left out: a service's role is the only writer of
its database, and a backup that reads for long is no reason to wait.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

from souk.kernel.errors import StoreUnavailable
from souk.store.database import Database, Transaction

OPEN_LIMIT = 60.0
"""Seconds to wait for the end of the transactions that are open."""
OPEN_POLL = 0.02
"""Seconds between two looks at them."""
_OPEN = """
    SELECT pid, CAST(extract(epoch FROM xact_start) * 1000000 AS BIGINT) AS began FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
"""


async def outlast(database: Database, name: str, meanwhile: Callable[[], Awaitable[None]]) -> None:
    """Implements `Database.outlast_open` for the database of that name."""
    time = asyncio.get_running_loop().time
    until = time() + OPEN_LIMIT
    left = await database.read(_open_transactions, single=True)
    while left:
        if time() > until:
            raise StoreUnavailable(f"a transaction on database {name} does not end; try again later")
        await asyncio.sleep(OPEN_POLL)
        await meanwhile()
        left &= await database.read(_open_transactions, single=True)


async def _open_transactions(tx: Transaction) -> set[tuple[int, int]]:
    """Returns the open transactions but this one, each as its session's process and its start in microseconds."""
    return {(cast(int, row["pid"]), cast(int, row["began"])) for row in await tx.fetch(_OPEN)}
