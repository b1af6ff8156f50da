"""Makes connections to PostgreSQL, and checks that each has a session of its own.

Every try reads the password file and the certificates that the URL names again, so a replaced one is used for the
next connection. If the URL names several hosts, the one that can be written to is used.
"""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg

from souk.kernel.errors import ConfigurationError, StoreError
from souk.store.postgres.connection import dropped_on_failure, keep
from souk.store.postgres.errors import DRIVER_ERRORS
from souk.telemetry.tracing.leaves import Leaves
from souk.telemetry.tracing.tracer import Tracer

_IDLE = 30.0
"""Seconds after which an idle connection is closed: each is a process of the server, with some 10 MB."""
_ROUNDS = 5
_A_POOLER = (
    "a pooler stands before it that gives a session to others between transactions. Souk needs sessions of its own, "
    "for LISTEN, advisory locks and prepared statements: name the server itself, or a pooler in session mode"
)

Session = Any
"""A connection of the driver, or the pool's proxy for one."""


class Sessions:
    """Makes connections to the database at `dsn`; `patience` is in seconds."""

    def __init__(self, dsn: str, patience: float) -> None:
        self._dsn = dsn
        self._options: dict[str, Any] = {
            "timeout": patience,
            "target_session_attrs": "read-write",
            "server_settings": {"application_name": "souk"},
        }
        # Set by SQL in the session, not as start-up parameters: a pooler refuses those that it does not know.
        # READ COMMITTED is for transactions of one statement: it sees the rows as they are once it has locked them.
        self._setting = (
            f"SET lock_timeout = {round(patience * 1000)}; SET default_transaction_isolation = 'read committed'"
        )

    async def pool(self, least: int, most: int) -> "asyncpg.Pool[asyncpg.Record]":
        """Makes a pool of `least` to `most` connections."""
        pool: asyncpg.Pool[asyncpg.Record] = await asyncpg.create_pool(
            self._dsn,
            min_size=least,
            max_size=most,
            init=self._set,
            reset=keep,
            max_inactive_connection_lifetime=_IDLE,
            **self._options,
        )
        return pool

    async def connect(self, setting: str = "") -> Session:
        """Makes one connection outside the pool; `setting` is SQL to run in its session."""
        connection: Session = await asyncpg.connect(self._dsn, **self._options)
        with dropped_on_failure(connection):
            await self._set(connection)
            if setting:
                await connection.execute(setting)
        return connection

    async def require_own(self, session: Session, name: str) -> None:
        """Raises ConfigurationError when a session does not stay with its connection between transactions."""
        if await _shares(session, self.connect):
            raise ConfigurationError(f"database {name} cannot be used: {_A_POOLER}")

    async def _set(self, connection: Session) -> None:
        await connection.execute(self._setting)


async def _shares(first: Session, connect: Callable[[], Awaitable[Session]]) -> bool:
    """Whether a pooler gives `first`'s session to others while it is idle."""
    try:
        if await _backend(first) == first.get_server_pid():
            return False  # no pooler: the backend that answers is the one that the start of the connection named
        second = await connect()
        try:
            return any([await _meet(first, second) for _ in range(_ROUNDS)])
        finally:
            second.terminate()
    except DRIVER_ERRORS:  # such as a prepared statement that is gone, because the session is another one
        return True


async def _meet(first: Session, second: Session) -> bool:
    """Whether an idle connection and one in a transaction have the same session, or the idle one's session changes."""
    own = await _backend(first)
    async with second.transaction():
        return await _backend(second) == own or await _backend(first) != own


async def _backend(session: Session) -> int:
    found: int = await session.fetchval("SELECT pg_backend_pid()")
    return found


def leaves_of(tracer: Tracer | None, dsn: str) -> Leaves | None:
    """Makes what records the transactions of the database at `dsn`, with its first host; None without a tracer."""
    if tracer is None:
        return None
    parts = urlsplit(dsn)
    first, _, port = parts.netloc.rpartition("@")[2].partition(",")[0].rpartition(":")
    if not port.isdigit():
        first, port = (f"{first}:{port}" if first else port), ""
    server = first.strip("[]") or next(iter(parse_qs(parts.query).get("host", [])), "")
    return Leaves(tracer, "postgresql", parts.path.lstrip("/"), server, int(port or 0), (StoreError,))
