"""The client of Redis, for data that may be lost, such as caches and hints. The server may be unreachable, empty
or wrong at any time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from souk.kernel.errors import ConfigurationError

if TYPE_CHECKING:
    from redis.asyncio import Redis  # an optional extra

PATIENCE = 0.25
"""Seconds until a command or a connection attempt is given up: its caller can do without the answer."""
MOST_CONNECTIONS = 64


@asynccontextmanager
async def open_redis(url: str | None) -> AsyncIterator["Redis | None"]:
    """Gives a client for the server at `url`, which need not be running; None without a URL.

    Raises ConfigurationError for a URL that the client cannot read, and when no client is installed.
    """
    if url is None:
        yield None
        return
    try:
        # Imported here, because it is an optional extra.
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
