"""The server for what can be lost: caches, gates and the like. It may be away, empty or wrong at any time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from souk.kernel.errors import ConfigurationError

if TYPE_CHECKING:
    from redis.asyncio import Redis  # an optional extra

PATIENCE = 0.25
"""Seconds until a command, or connecting, is given up: whoever waits for it can do without."""
MOST_CONNECTIONS = 64


@asynccontextmanager
async def open_redis(url: str | None) -> AsyncIterator["Redis | None"]:
    """A client for the server at `url`, which need not be there; None without one.

    Raises ConfigurationError for an URL that it cannot read.
    """
    if url is None:
        yield None
        return
    try:
        # Here, because it is an optional extra.
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ModuleNotFoundError as error:
        if error.name != "redis":
            raise
        raise ConfigurationError(
            "SOUK_REDIS needs a client that is not installed: pip install 'souk-platform[redis]'"
        ) from None
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=MOST_CONNECTIONS,
            timeout=PATIENCE,
            socket_timeout=PATIENCE,
            socket_connect_timeout=PATIENCE,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError:
        raise ConfigurationError("SOUK_REDIS: the client cannot read this URL") from None
    client = Redis(connection_pool=pool)
    try:
        yield client
    finally:
        await client.aclose()
        await pool.disconnect()
