"""Carries connections to one destination outside, as they are: nothing of them is read, TLS included."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from souk.supervisor.isolation.destinations import Destination

_CHUNK = 64 * 1024
_RESETS = struct.pack("ii", 1, 0)
"""SO_LINGER, so that an end is one that nobody takes for an answer's."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Opened = Callable[[Destination], Awaitable[Streams]]
"""Connects to a destination. Raises OSError."""


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """The most `connections` to one destination at once; further ones are reset. In seconds: `connect` to make one,
    `attempt` for each of the host's addresses, and `half_closed` without a byte once one side has sent all it has."""

    connections: int = 256
    connect: float = 10.0
    attempt: float = 4.0
    half_closed: float = 300.0


class ConnectionRelay:
    """Takes connections as the callback of a server, and carries each over one that `opened` makes.

    If that cannot be made, the connection is reset at once, and `report` gets the reason, once until one can be made.
    """

    def __init__(
        self, destination: Destination, opened: Opened, report: Callable[[str], None], limits: RelayLimits
    ) -> None:
        self.destination = destination
        self._opened, self._report, self._limits = opened, report, limits
        self._running: set[asyncio.Task[None]] = set()
        self._reported = ""

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._running)

    def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Begins to carry a connection, which goes on until both sides have closed it, or one has reset it."""
        if len(self._running) >= self._limits.connections:
            self._say(f"has {self._limits.connections} connections to {self.destination}, and gets no more")
            _reset(writer)
            return
        task = asyncio.create_task(self._taken((reader, writer)), name=f"to {self.destination}")
        self._running.add(task)
        task.add_done_callback(partial(self._ended, writer))

    def close(self) -> None:
        """Resets all connections."""
        for task in self._running:
            task.cancel()

    def _ended(self, writer: asyncio.StreamWriter, task: asyncio.Task[None]) -> None:
        _reset(writer)
        self._running.discard(task)

    async def _taken(self, inside: Streams) -> None:
        with suppress(OSError, TimeoutError):
            await self._carry(inside)

    async def _carry(self, inside: Streams) -> None:
        try:
            async with asyncio.timeout(self._limits.connect):
                outside = await self._opened(self.destination)
        except (OSError, TimeoutError) as error:
            reason = str(error) or f"no connection within {self._limits.connect:g} s"
            self._say(f"cannot reach {self.destination}: {reason.lower()}")
            raise
        self._reported = ""
        try:
            await self._both_ways(inside, outside)
        finally:
            _reset(outside[1])

    async def _both_ways(self, inside: Streams, outside: Streams) -> None:
        flows = (_Flow(inside[0], outside[1]), _Flow(outside[0], inside[1]))
        running = [asyncio.create_task(flow.run()) for flow in flows]
        try:
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            await self._until_idle(flows, running)
            async with asyncio.timeout(self._limits.half_closed):
                for _, writer in (inside, outside):
                    writer.close()
                    await writer.wait_closed()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _until_idle(self, flows: "tuple[_Flow, _Flow]", running: list[asyncio.Task[None]]) -> None:
        """Waits for both ends. Of a process that was killed, the end looks like that of one that only has sent all."""
        while True:
            for task in running:
                if task.done():
                    task.result()
            rest = [task for task in running if not task.done()]
            if not rest:
                return
            before = sum(flow.moved for flow in flows)
            done, _ = await asyncio.wait(rest, timeout=self._limits.half_closed)
            if not done and before == sum(flow.moved for flow in flows):
                raise TimeoutError

    def _say(self, line: str) -> None:
        if line != self._reported:
            self._reported = line
            self._report(line)


class _Flow:
    """One direction of a connection, which ends with its own end: the other goes on."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.moved = 0

    async def run(self) -> None:
        while chunk := await self._reader.read(_CHUNK):
            self._writer.write(chunk)
            await self._writer.drain()
            self.moved += len(chunk)
        self._writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection that is still open by a reset."""
    if (connection := writer.get_extra_info("socket")) is not None and connection.fileno() >= 0:
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESETS)
    writer.transport.abort()


async def opened_outside(destination: Destination, resolvers: Executor | None, attempt: float) -> Streams:
    """Connects to a destination from here: to each of its addresses, for `attempt` seconds, until one accepts.

    Names are resolved by `resolvers`, so that a name server that is silent delays nothing else. Raises OSError.
    """
    failure: OSError = OSError("it has no address")
    for address in await _addresses(destination, resolvers):
        try:
            async with asyncio.timeout(attempt):
                return await asyncio.open_connection(address, destination.port)
        except TimeoutError:
            failure = OSError(f"{address} does not answer")
        except OSError as error:
            failure = error
    raise failure


async def _addresses(destination: Destination, resolvers: Executor | None) -> list[str]:
    if destination.literal is not None:
        return [destination.host]
    find = partial(socket.getaddrinfo, destination.host, destination.port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(resolvers, find)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
