"""Asks a gateway whether the system is ready."""

import asyncio
from contextlib import suppress

_EVERY = 0.05
_PATIENCE = 5.0
_REQUEST = "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"


async def answers_ready(address: str) -> None:
    """Returns once GET /readyz answers 200 at `address`, host:port."""
    while not await _is_ready(address):  # noqa: ASYNC110 - it is in another process
        await asyncio.sleep(_EVERY)


async def _is_ready(address: str) -> bool:
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            return b" 200 " in await _first_line(address)
    return False


async def _first_line(address: str) -> bytes:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    try:
        writer.write(_REQUEST.format(address=address).encode())
        return await reader.readline()
    finally:
        writer.close()
