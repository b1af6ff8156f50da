"""Connections are carried as they are: to both ends, with back-pressure, and not at all where nobody takes them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from souk.supervisor.isolation.connection_relay import ConnectionRelay, Opened, RelayLimits, Streams, opened_outside
from souk.supervisor.isolation.destinations import Destination
from souk.testing.free_ports import free_port

LOOPBACK = "127.0.0.1"
Served = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Relayed:
    """A relay that listens, and what it has reported."""

    port: int
    relay: ConnectionRelay
    reports: list[str] = field(default_factory=list)
    opened: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self) -> Streams:
        reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
        self.opened.append(writer)
        return reader, writer

    async def until_empty(self) -> None:
        while self.relay.connections:
            await asyncio.sleep(0)


async def to(destination: Destination) -> Streams:
    """Connects without a resolver: destinations here are literal."""
    return await asyncio.open_connection(destination.host, destination.port)


@asynccontextmanager
async def relaying(
    destination: Destination, limits: RelayLimits | None = None, opened: Opened = to
) -> AsyncIterator[Relayed]:
    reports: list[str] = []
    relay = ConnectionRelay(destination, opened, reports.append, limits or RelayLimits())
    server = await asyncio.start_server(relay, LOOPBACK, 0)
    found = Relayed(server.sockets[0].getsockname()[1], relay, reports)
    try:
        yield found
    finally:
        server.close()
        relay.close()
        for writer in found.opened:
            writer.transport.abort()
        await found.until_empty()


@asynccontextmanager
async def relayed(served: Served, limits: RelayLimits | None = None) -> AsyncIterator[Relayed]:
    """Relays to a server, whose handler closes its connections."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await served(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(handle, LOOPBACK, 0)
    try:
        async with relaying(Destination(*server.sockets[0].getsockname()), limits) as found:
            yield found
    finally:
        server.close()


async def answers_after_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers once the caller has sent all that it has."""
    received = await reader.read()
    writer.write(f"{len(received)} bytes".encode())
    await writer.drain()


async def echoes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(1 << 16):
        writer.write(chunk)
        await writer.drain()


async def test_a_side_that_has_sent_all_still_gets_its_answer() -> None:
    async with relayed(answers_after_the_end) as to_it:
        reader, writer = await to_it.connect()
        writer.write(b"x" * 3_000_000)
        writer.write_eof()
        assert await reader.read() == b"3000000 bytes"
        await to_it.until_empty()


async def test_an_answer_ends_before_the_question() -> None:
    async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"421 closing")
        writer.write_eof()
        assert await reader.read() == b"QUIT"

    async with relayed(hangs_up) as to_it:
        reader, writer = await to_it.connect()
        assert await reader.read() == b"421 closing"
        writer.write(b"QUIT")
        writer.write_eof()
        await to_it.until_empty()


async def test_all_bytes_come_back_in_their_order() -> None:
    sent = bytes(range(256)) * 20_000
    async with relayed(echoes) as to_it:
        reader, writer = await to_it.connect()
        writer.write(sent)
        writer.write_eof()
        assert await reader.read() == sent


async def test_a_receiver_that_does_not_read_stops_the_sender() -> None:
    reads = asyncio.Event()

    async def reads_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reads.wait()
        await answers_after_the_end(reader, writer)

    async with relayed(reads_late) as to_it:
        loop = asyncio.get_running_loop()
        with socket.create_connection((LOOPBACK, to_it.port)) as sender:
            sender.setblocking(False)
            accepted, stuck = 0, 0
            # Stuck is what takes nothing for a hundred rounds of the loop, in which the relay takes all that it will.
            while stuck < 100:
                try:
                    accepted += sender.send(b"x" * (1 << 20))
                    stuck = 0
                except BlockingIOError:
                    stuck += 1
                    await asyncio.sleep(0.01)
                assert accepted < 200 << 20, "the relay keeps what nobody reads"
            reads.set()
            sender.shutdown(socket.SHUT_WR)
            assert await loop.sock_recv(sender, 100) == f"{accepted} bytes".encode()


async def test_a_destination_that_is_away_is_a_reset_at_once() -> None:
    port = free_port()
    async with relaying(Destination(LOOPBACK, port)) as to_it:
        for _ in range(2):
            reader, writer = await to_it.connect()
            writer.write(b"EHLO")
            with pytest.raises(ConnectionResetError):
                await reader.read()
    assert len(to_it.reports) == 1, "the reason is reported once"
    assert to_it.reports[0].startswith(f"cannot reach {LOOPBACK}:{port}: ")


async def test_a_destination_that_does_not_answer_is_given_up() -> None:
    async def never(destination: Destination) -> Streams:
        return await asyncio.get_running_loop().create_future()

    async with relaying(Destination("bank.example", 443), RelayLimits(connect=0.05), never) as to_it:
        reader, _ = await to_it.connect()
        with pytest.raises(ConnectionResetError):
            await reader.read()
    assert to_it.reports == ["cannot reach bank.example:443: no connection within 0.05 s"]


async def test_a_reset_outside_is_a_reset_inside() -> None:
    async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        writer.transport.abort()  # with a byte that was not read

    async with relayed(resets) as to_it:
        reader, writer = await to_it.connect()
        writer.write(b"xy" * (1 << 20))
        with pytest.raises(ConnectionError):
            await reader.read()
        await to_it.until_empty()


async def test_the_connections_are_limited() -> None:
    async with relayed(echoes, RelayLimits(connections=2)) as to_it:
        kept = [await to_it.connect() for _ in range(2)]
        for reader, writer in kept:
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
        reader, _ = await to_it.connect()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        kept[0][1].close()
        while to_it.relay.connections == 2:
            await asyncio.sleep(0)
        reader, writer = await to_it.connect()
        writer.write(b"y")
        assert await reader.readexactly(1) == b"y"
    assert to_it.reports == [f"has 2 connections to {to_it.relay.destination}, and gets no more"]


async def test_half_a_connection_that_is_idle_ends() -> None:
    """A process that was killed leaves such a one, if its peer does not close."""
    released = asyncio.Event()

    async def stays(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        await released.wait()

    async with relayed(stays, RelayLimits(half_closed=0.1)) as to_it:
        reader, writer = await to_it.connect()
        writer.write_eof()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        await to_it.until_empty()
        released.set()


async def test_what_is_closed_leaves_no_connection() -> None:
    async with relayed(echoes) as to_it:
        reader, writer = await to_it.connect()
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        to_it.relay.close()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        await to_it.until_empty()


async def test_each_address_of_a_host_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    async with relayed(echoes) as to_it:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, to_it.port)) for one in ("127.9.9.9", LOOPBACK)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        _, writer = await opened_outside(Destination("bank.example", to_it.port), None, 60.0)
        assert writer.get_extra_info("peername")[0] == LOOPBACK
        writer.close()
        await writer.wait_closed()


async def test_a_name_that_does_not_exist_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(OSError, match="not known"):
        await opened_outside(Destination("bank.example", 443), None, 60.0)
