"""When a peer counts as one that does not take what is sent, over real connections."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from souk.runtime.process.http.gathering import Gathering
from souk.runtime.process.http.limits import HttpLimits
from souk.runtime.process.sockets import not_taken

LIMITS = HttpLimits(write=10.0)
MUCH = 1 << 20
SMALL = 4096


@dataclass(frozen=True)
class Connection:
    """A connection whose peer reads when a test says so."""

    gathering: Gathering
    own: socket.socket
    peer: socket.socket

    def write(self, octets: int) -> None:
        """Sends so many octets: at once, since they are more than are held back."""
        self.gathering.write(bytes(octets))

    def is_stuck(self, now: float) -> bool:
        return self.gathering.is_stuck(now, LIMITS)

    async def read(self, octets: int) -> None:
        loop = asyncio.get_running_loop()
        while octets > 0:
            octets -= len(await loop.sock_recv(self.peer, octets))

    async def taken(self) -> None:
        """Waits until the system has nothing more for the peer."""
        async with asyncio.timeout(60):
            while not_taken(self.own) or self.gathering.get_write_buffer_size():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def connected() -> AsyncIterator[Connection]:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        peer.connect(listener.getsockname())
        peer.setblocking(False)
        own, _ = listener.accept()
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=own)
        try:
            yield Connection(Gathering(transport, loop), own, peer)
        finally:
            transport.abort()


async def test_what_the_system_takes_gives_the_peer_no_time() -> None:
    async with connected() as connection:
        connection.write(MUCH)
        assert not connection.is_stuck(0)
        waiting = connection.gathering.get_write_buffer_size()
        connection.own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MUCH)
        async with asyncio.timeout(60):
            while connection.gathering.get_write_buffer_size() > waiting - 65_536:
                await asyncio.sleep(0.01)
        assert not connection.is_stuck(LIMITS.write - 1)
        assert connection.is_stuck(LIMITS.write + 1)


async def test_what_the_peer_takes_gives_it_time() -> None:
    async with connected() as connection:
        connection.write(MUCH)
        assert not connection.is_stuck(0)
        await connection.read(65_536)
        assert not connection.is_stuck(LIMITS.write + 1)
        assert connection.is_stuck(LIMITS.write + MUCH / LIMITS.slowest)


async def test_an_answer_that_the_system_has_whole_is_not_taken_yet() -> None:
    async with connected() as connection:
        connection.own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MUCH)
        connection.write(65_537)
        assert connection.gathering.get_write_buffer_size() == 0
        assert not connection.is_stuck(0)
        assert connection.is_stuck(LIMITS.write + 65)


async def test_the_time_of_the_next_answer_begins_anew() -> None:
    async with connected() as connection:
        connection.write(65_537)
        assert not connection.is_stuck(0)
        await connection.read(65_537)
        await connection.taken()
        assert not connection.is_stuck(1_000)
        connection.write(MUCH)
        assert not connection.is_stuck(2_000)
        assert connection.is_stuck(2_000 + LIMITS.write + MUCH / LIMITS.slowest)
