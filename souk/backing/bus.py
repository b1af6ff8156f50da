"""The fleet's own bus, asked from outside: its URL, what its groups have still to handle, and a copy of its streams."""

import importlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from souk.kernel.errors import ConfigurationError

if TYPE_CHECKING:
    from redis.asyncio import Redis  # an optional extra

RETENTION = 60
"""Seconds for which events that every group has handled stay in memory: all groups are known when a fleet starts."""
PATIENCE = 30.0
"""Seconds until a command to the bus is given up."""


def url_of(socket: Path) -> str:
    """Gives the URL of the broker that listens on this socket."""
    return f"unix://{socket}?retention={RETENTION}"


async def unhandled(socket: Path) -> int:
    """Counts the events that a group has not handled yet, once for each group.

    Raises ConfigurationError when the bus does not answer.
    """
    async with _connected(socket) as client:
        count = 0
        for stream in await _streams(client):
            for group in await client.xinfo_groups(stream):
                count += group["pending"] + await _not_handed_out(client, stream, group)
        return count


async def copied(socket: Path) -> dict[str, bytes]:
    """Copies every stream, with its groups and what these have in hand; returns the copies by the streams' names.

    The copy is of one instant if nothing changes the streams meanwhile. Raises ConfigurationError when the bus does not
    answer.
    """
    async with _connected(socket) as client:
        return {stream: copy for stream in await _streams(client) if (copy := await client.dump(stream)) is not None}


async def bring_back(socket: Path, streams: Mapping[str, bytes]) -> None:
    """Makes these streams from their copies. Raises ConfigurationError when the bus does not answer, or refuses one."""
    async with _connected(socket) as client:
        for stream, copy in streams.items():
            await client.restore(stream, 0, copy, replace=True)


async def _streams(client: "Redis") -> list[str]:
    return sorted([name.decode() async for name in client.scan_iter(_type="stream", count=1_000)])


async def _not_handed_out(client: "Redis", stream: str, group: Mapping[str, object]) -> int:
    # The server does not know the lag of a group if entries were deleted behind its back.
    lag = group.get("lag")
    if isinstance(lag, int):
        return lag
    last = group["last-delivered-id"]
    assert isinstance(last, bytes)
    return len(await client.xrange(stream, min=f"({last.decode()}") or ())


@asynccontextmanager
async def _connected(socket: Path) -> AsyncIterator["Redis"]:
    try:
        redis = importlib.import_module("redis.asyncio")
        errors = importlib.import_module("redis.exceptions")
    except ModuleNotFoundError:
        raise ConfigurationError("this needs a client of Redis: pip install 'souk-platform[redis]'") from None
    client: Redis = redis.Redis(unix_socket_path=str(socket), socket_timeout=PATIENCE)
    try:
        yield client
    except (errors.RedisError, OSError) as error:
        raise ConfigurationError(f"the fleet's bus cannot be used, it runs while the fleet does: {error}") from error
    finally:
        await client.aclose()
