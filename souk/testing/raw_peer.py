"""Peers of a Connect connection that say exactly what a test tells them to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeAlias

Script: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\ncontent-length: 0\r\n\r\n"
"""An empty message."""


@dataclass
class RawServer:
    """Where it listens, and how many connections came and how many of them have ended."""

    address: str = ""
    accepted: int = 0
    ended: asyncio.Queue[int] = field(default_factory=asyncio.Queue)


@asynccontextmanager
async def raw_server(*scripts: Script) -> AsyncIterator[RawServer]:
    """Treats its first connection by the first script, and so on; those after the last by the last."""
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

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    server.address = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    yield server
    listener.close()
    for task in tasks:
        assert task is not None
        task.cancel()
    await asyncio.gather(*(task for task in tasks if task is not None), return_exceptions=True)


async def request(reader: asyncio.StreamReader) -> bytes:
    """One whole request."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length"))
    return head + await reader.readexactly(length)


def answering(*answers: bytes, then_close: bool = True) -> Script:
    """Answers a request with each of the octets, then closes or reads until the caller closes."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await request(reader)
            writer.write(answer)
        if not then_close:
            await reader.read()

    return script
