"""Servers that send exactly the octets that a test gives them, as peers of a Connect connection."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeAlias

from souk.kernel.addresses import LOOPBACK

Script: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\ncontent-length: 0\r\n\r\n"
"""A response with an empty message."""


@dataclass
class RawServer:
    """Its address, the number of accepted connections, and the numbers of those that have ended."""

    address: str = ""
    accepted: int = 0
    ended: asyncio.Queue[int] = field(default_factory=asyncio.Queue)


@asynccontextmanager
async def raw_server(*scripts: Script) -> AsyncIterator[RawServer]:
    """Serves the first connection by the first script, and so on; connections after the last by the last script."""
    server, tasks = RawServer(), set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = server.accepted
        server.accepted += 1
        task = asyncio.current_task()
        tasks.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await scripts[min(number, len(scripts) - 1)](reader, writer)
        finally:
            tasks.discard(task)
            writer.close()
            server.ended.put_nowait(number)

    listener = await asyncio.start_server(accept, LOOPBACK, 0)
    server.address = f"{LOOPBACK}:{listener.sockets[0].getsockname()[1]}"
    yield server
    listener.close()
    for task in tasks:
        assert task is not None
        task.cancel()
    await asyncio.gather(*(task for task in tasks if task is not None), return_exceptions=True)


async def request(reader: asyncio.StreamReader) -> bytes:
    """Reads one whole request."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length"))
    return head + await reader.readexactly(length)


def answering(*answers: bytes, then_close: bool = True) -> Script:
    """Makes a script that answers one request with each answer, then closes, or waits until the caller closes."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await request(reader)
            writer.write(answer)
        if not then_close:
            await reader.read()

    return script
