"""What a caller learns of a callee that is away, slow, or talks nonsense; and what becomes of the connection."""

import asyncio
import io
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import pytest

from souk.kernel.clock import SystemClock
from souk.kernel.errors import Outcome
from souk.rpc.call import CallFailed
from souk.rpc.client.channel import Channel
from souk.rpc.connect.pool import CONNECTIONS, IDLE, Pool
from souk.rpc.connect.server import serve_connect
from souk.rpc.connect.transport import ConnectTransport
from souk.rpc.server.dispatcher import Dispatcher
from souk.testing.clocks import FakeClock
from souk.testing.probe import probe_pb2 as pb
from souk.testing.probe.probe_pb2_grpc import ProbeStub
from souk.testing.raw_peer import OK, RawServer, answering, raw_server, request
from souk.testing.rpc.probe import Probe, tokens

ECHO = pb.Ask(what="echo")
Code = grpc.StatusCode


@pytest.fixture
async def stub_of():
    transports: list[ConnectTransport] = []

    def make(address: str) -> ProbeStub:
        transports.append(ConnectTransport(lambda: [address]))
        return ProbeStub(Channel(transports[-1]))

    yield make
    for transport in transports:
        await transport.close()


async def failure(call: Awaitable[object]) -> CallFailed:
    with pytest.raises(CallFailed) as raised:
        await call
    return raised.value


async def failed_by(answer: bytes, stub_of: Callable[[str], ProbeStub], *, then_close: bool = False) -> CallFailed:
    """Gives how a call fails with this answer; its connection must end, and the next call must use another."""
    async with raw_server(answering(answer, then_close=then_close), answering(OK)) as server:
        probe = stub_of(server.address)
        error = await failure(probe.Unary(ECHO))
        assert await asyncio.wait_for(server.ended.get(), 30) == 0
        await probe.Unary(ECHO)
        assert server.accepted == 2
    return error


class TestAway:
    async def test_nobody_listens(self, stub_of) -> None:
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            probe = stub_of(f"127.0.0.1:{bound.getsockname()[1]}")
            for _ in range(2):  # the second within the pause after the first
                error = await failure(probe.Unary(ECHO))
                assert (error.code(), error.outcome) == (Code.UNAVAILABLE, Outcome.NOT_SENT)

    async def test_an_address_that_is_none(self, stub_of, written: io.StringIO) -> None:
        probe = stub_of("127.0.0.1:none")
        for _ in range(2):
            error = await failure(probe.Unary(ECHO, timeout=3))
            assert (error.code(), error.outcome) == (Code.UNAVAILABLE, Outcome.NOT_SENT)
            await asyncio.sleep(0.2)  # the pause after a failure
        assert written.getvalue().count("a service cannot be connected to") == 1

    async def test_a_patient_call_waits_for_a_listener(self, stub_of) -> None:
        with socket.socket() as bound:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{bound.getsockname()[1]}"
        probe = stub_of(address)
        call = probe.Unary(ECHO, wait_for_ready=True, timeout=10)
        await failure(probe.Unary(ECHO))
        dispatcher = Dispatcher(tokens("probe"))
        dispatcher.add(Probe(), pb.DESCRIPTOR.services_by_name["Probe"])
        server = await serve_connect(dispatcher, address)
        await call
        await server.stop()

    async def test_a_connection_that_does_not_come(self, stub_of) -> None:
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            taken = [socket.socket() for _ in range(4)]
            for one in taken:
                one.setblocking(False)
                one.connect_ex(full.getsockname())
            error = await failure(stub_of(f"127.0.0.1:{full.getsockname()[1]}").Unary(ECHO, timeout=0.2))
            assert (error.code(), error.outcome) == (Code.DEADLINE_EXCEEDED, Outcome.NOT_SENT)
            for one in taken:
                one.close()

    async def test_turned_away_at_the_door(self, stub_of) -> None:
        async def away(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.abort()

        async with raw_server(away) as server:
            for _ in range(10):  # whether it was sent depends on who is faster, but never hangs
                error = await failure(stub_of(server.address).Unary(ECHO, timeout=5))
                assert error.code() is Code.UNAVAILABLE


class TestHalves:
    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"HTTP/1.1 20",
            b"HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\ncontent-length: 9\r\n\r\nhalf",
            b"HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\n\r\nwithout a length",
            b"HTTP/1.1 100 Continue\r\n\r\n",
        ],
    )
    async def test_half_an_answer_is_none(self, answer: bytes, stub_of) -> None:
        error = await failed_by(answer, stub_of, then_close=True)
        assert (error.code(), error.outcome) == (Code.UNAVAILABLE, Outcome.UNKNOWN)

    async def test_a_reset(self, stub_of) -> None:
        async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await request(reader)
            own = writer.get_extra_info("socket")
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        async with raw_server(reset) as server:
            error = await failure(stub_of(server.address).Unary(ECHO))
        assert (error.code(), error.outcome) == (Code.UNAVAILABLE, Outcome.UNKNOWN)

    async def test_an_answer_that_trickles_ends_at_the_deadline(self, stub_of) -> None:
        async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await request(reader)
            for octet in OK:
                writer.write(bytes([octet]))
                await writer.drain()
                await asyncio.sleep(0.05)

        async with raw_server(trickle) as server:
            error = await failure(stub_of(server.address).Unary(ECHO, timeout=1.0))
            assert (error.code(), error.outcome) == (Code.DEADLINE_EXCEEDED, Outcome.UNKNOWN)
            await asyncio.wait_for(server.ended.get(), 30)


class TestNonsense:
    @pytest.mark.parametrize(
        "answer",
        [
            b"\x00\x01\x02\x03 what is this?\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        ],
    )
    async def test_what_is_no_http(self, answer: bytes, stub_of) -> None:
        error = await failed_by(answer, stub_of)
        assert (error.code(), error.outcome) == (Code.INTERNAL, Outcome.UNKNOWN)

    @pytest.mark.parametrize(
        ("kind", "code"), [(b"text/html", Code.UNKNOWN), (b"application/json", Code.INTERNAL), (b"", Code.UNKNOWN)]
    )
    async def test_a_page_is_no_answer(self, kind: bytes, code: grpc.StatusCode, stub_of) -> None:
        answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: %s\r\ncontent-length: 4\r\n\r\npage" % kind
        error = await failed_by(answer, stub_of)
        assert (error.code(), error.outcome) == (code, Outcome.UNKNOWN)

    async def test_a_message_that_is_none(self, stub_of) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\ncontent-length: 2\r\nconnection: close\r\n\r\n"
        error = await failed_by(head + b"\xff\xff", stub_of)
        assert (error.code(), error.outcome) == (Code.INTERNAL, Outcome.UNKNOWN)

    async def test_metadata_that_is_none(self, stub_of) -> None:
        for header in (b"a-bin: !!", b"a: \xff", b"a: x\ty", b"souk-metadata-bin: WzFd"):
            error = await failed_by(OK[:-2] + header + b"\r\nconnection: close\r\n\r\n", stub_of)
            assert (error.code(), error.details()) == (Code.INTERNAL, "Invalid metadata")

    @pytest.mark.parametrize("body", [b"", b"[]", b'"x"', b"{", b'{"code": 7}', b'{"details": 7}', b"\xff"])
    async def test_an_error_that_is_none(self, body: bytes, stub_of) -> None:
        head = b"HTTP/1.1 503 x\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        error = await failed_by(head % len(body) + body, stub_of)
        assert (error.code(), error.outcome, error.messages) == (Code.UNAVAILABLE, Outcome.UNKNOWN, ())


class TestTooMuch:
    async def _ended_by(self, part: bytes, start: bytes, stub_of) -> tuple[CallFailed, int]:
        """Gives how a call with an endless answer ends, and how many octets of the answer were read."""
        sent = 0

        async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            await request(reader)
            writer.write(start)
            while True:
                writer.write(part)
                await writer.drain()
                sent += len(part)

        async with raw_server(endless) as server:
            error = await failure(stub_of(server.address).Unary(ECHO))
            await asyncio.wait_for(server.ended.get(), 30)
        return error, sent

    @pytest.mark.parametrize("part", [b"x" * 10_000, b"a: b\r\n" * 1_000])
    async def test_a_head_without_end(self, part: bytes, stub_of) -> None:
        error, sent = await self._ended_by(part, b"HTTP/1.1 200 OK\r\nlarge: ", stub_of)
        assert (error.code(), error.outcome) == (Code.RESOURCE_EXHAUSTED, Outcome.UNKNOWN)
        assert sent < 16_000_000  # what the kernel's buffers hold

    async def test_a_body_without_end(self, stub_of) -> None:
        start = b"HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\ntransfer-encoding: chunked\r\n\r\n"
        error, sent = await self._ended_by(b"2710\r\n" + b"x" * 10_000 + b"\r\n", start, stub_of)
        assert error.code() is Code.RESOURCE_EXHAUSTED
        assert "CLIENT: Received message larger than max" in error.detail
        assert sent < 32_000_000

    async def test_a_body_is_refused_by_its_announcement(self, stub_of) -> None:
        answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\ncontent-length: 4194305\r\n\r\n"
        error = await failed_by(answer, stub_of)
        assert error.code() is Code.RESOURCE_EXHAUSTED
        assert error.detail == "CLIENT: Received message larger than max (4194305 vs. 4194304)"

    @pytest.mark.parametrize("prefix", [b"", b"trailer-"])
    async def test_more_metadata_than_8_kibibytes(self, prefix: bytes, stub_of) -> None:
        large = prefix + b"large: " + b"x" * 9_000
        error = await failed_by(OK[:-2] + large + b"\r\nconnection: close\r\n\r\n", stub_of)
        assert (error.code(), error.outcome) == (Code.RESOURCE_EXHAUSTED, Outcome.UNKNOWN)

    async def test_more_than_was_announced(self, stub_of) -> None:
        async with raw_server(answering(OK + b"and more", then_close=False), answering(OK)) as server:
            probe = stub_of(server.address)
            assert await probe.Unary(ECHO) == pb.Answer()
            assert await asyncio.wait_for(server.ended.get(), 30) == 0
            await probe.Unary(ECHO)
            assert server.accepted == 2


class TestKeptAlive:
    """A connection that ends while it waits is no error of the next call."""

    async def test_one_connection_carries_calls_in_turn(self, stub_of) -> None:
        async with raw_server(answering(OK, OK, OK, then_close=False)) as server:
            probe = stub_of(server.address)
            for _ in range(3):
                await probe.Unary(ECHO)
            assert server.accepted == 1

    async def test_closed_without_a_word(self, stub_of) -> None:
        async with raw_server(answering(OK)) as server:
            probe = stub_of(server.address)
            for number in range(3):
                await probe.Unary(ECHO)
                assert await server.ended.get() == number
                # No time for the loop to read what the kernel knows already.
            assert server.accepted == 3

    async def test_talking_out_of_turn(self, stub_of) -> None:
        async def chatty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await request(reader)
            writer.write(OK)
            await asyncio.sleep(0.05)
            writer.write(OK)
            await reader.read()

        async with raw_server(chatty, answering(OK)) as server:
            probe = stub_of(server.address)
            await probe.Unary(ECHO)
            await asyncio.wait_for(server.ended.get(), 30)
            await probe.Unary(ECHO)
            assert server.accepted == 2

    async def test_a_goodbye_that_crosses_the_request(self, stub_of) -> None:
        goodbye = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        async with raw_server(answering(OK, goodbye), answering(OK)) as server:
            probe = stub_of(server.address)
            await probe.Unary(ECHO)
            await probe.Unary(ECHO)
            assert server.accepted == 2

    async def test_a_goodbye_and_then_nobody_leaves_the_call_unknown(self, stub_of) -> None:
        goodbye = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        listening: list[asyncio.Server] = []

        async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await request(reader)
            writer.write(OK)
            await request(reader)
            listening[0].close()
            writer.write(goodbye)
            writer.close()

        listening.append(await asyncio.start_server(leave, "127.0.0.1", 0))
        host, port = listening[0].sockets[0].getsockname()
        probe = stub_of(f"{host}:{port}")
        await probe.Unary(ECHO)
        error = await failure(probe.Unary(ECHO))
        assert (error.code(), error.outcome) == (Code.UNAVAILABLE, Outcome.UNKNOWN)

    async def test_408_of_a_new_connection_is_an_error(self, stub_of) -> None:
        answer = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        error = await failed_by(answer, stub_of)
        assert (error.code(), error.outcome) == (Code.UNKNOWN, Outcome.UNKNOWN)


class TestPool:
    async def test_connections_are_bounded(self) -> None:
        probe, dispatcher = Probe(), Dispatcher(tokens("probe"))
        dispatcher.add(probe, pb.DESCRIPTOR.services_by_name["Probe"])
        server = await serve_connect(dispatcher)
        transport = ConnectTransport(lambda: [server.address])
        stub = ProbeStub(Channel(transport, tokens=tokens("test")))
        calls = [stub.Unary(pb.Ask(what="wait-for", notes=["go"])) for _ in range(CONNECTIONS + 50)]
        try:
            while len(server.connections) < CONNECTIONS:
                await asyncio.sleep(0.001)
            error = await failure(stub.Unary(ECHO, timeout=0.3))
            assert (error.code(), error.outcome) == (Code.DEADLINE_EXCEEDED, Outcome.NOT_SENT)
            probe.events["go"].set()
            await asyncio.gather(*calls)
            assert len(server.connections) == CONNECTIONS
        finally:
            await transport.close()
            await server.stop()

    async def test_connections_that_wait_long_are_closed(self) -> None:
        async with raw_server(answering(OK, OK, then_close=False)) as server:
            clock = FakeClock(monotonic=SystemClock().monotonic())
            pool = Pool(server.address, "probe", clock)
            pool.connect()
            while not pool.connected:
                await asyncio.sleep(0.001)
            clock.advance(IDLE - 1)
            pool.trim()
            assert pool.connected
            clock.advance(2)
            pool.trim()
            await asyncio.wait_for(server.ended.get(), 30)
            assert not pool.connected

    async def test_a_question_for_the_date_that_reaches_nobody_delays_no_call(self, tmp_path: Path) -> None:
        dispatcher = Dispatcher(tokens("probe"))
        dispatcher.add(Probe(), pb.DESCRIPTOR.services_by_name["Probe"])
        address = f"unix:{tmp_path}/probe"
        transport = ConnectTransport(lambda: [address])
        assert await transport.date(address, 5.0) == ""
        server = await serve_connect(dispatcher, address)
        try:
            await ProbeStub(Channel(transport, tokens=tokens("test"))).Unary(ECHO)
            assert await transport.date(address, 5.0)
        finally:
            await transport.close()
            await server.stop()

    async def test_closing_ends_what_runs(self) -> None:
        async with raw_server(answering(then_close=False)) as server:
            transport = ConnectTransport(lambda: [server.address])
            stub = ProbeStub(Channel(transport))
            call = stub.Unary(ECHO)
            while server.accepted == 0:
                await asyncio.sleep(0.001)
            await transport.close(0.05)
            error = await failure(call)
            assert (error.code(), error.outcome) == (Code.CANCELLED, Outcome.UNKNOWN)
            assert (await failure(stub.Unary(ECHO))).outcome is Outcome.NOT_SENT


async def test_calls_go_to_each_instance_in_turn() -> None:
    async with raw_server(answering(OK, OK)) as one, raw_server(answering(OK, OK)) as other:
        servers: list[RawServer] = [one, other]
        transport = ConnectTransport(lambda: [server.address for server in servers])
        stub = ProbeStub(Channel(transport))
        for _ in range(4):
            await stub.Unary(ECHO)
        assert (one.accepted, other.accepted) == (1, 1)
        await transport.close()
