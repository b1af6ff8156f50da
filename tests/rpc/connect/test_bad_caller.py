"""What a server answers to callers who are slow, gone, many, or talk nonsense; and that it stays bounded."""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest

from souk.kernel.clock import SystemClock
from souk.rpc.connect.server import IDLE, SLOW, ConnectServer, serve_connect
from souk.rpc.server.dispatcher import Dispatcher
from souk.rpc.transport import MESSAGE_LIMIT
from souk.testing.clocks import FakeClock
from souk.testing.probe import probe_pb2 as pb
from souk.testing.rpc.probe import Probe

UNARY = "/souktest.v1.Probe/Unary"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(monotonic=SystemClock().monotonic())


@pytest.fixture
def servicer() -> Probe:
    return Probe()


@pytest.fixture
async def server(servicer: Probe, clock: FakeClock) -> AsyncIterator[ConnectServer]:
    dispatcher = Dispatcher(None)
    dispatcher.add(servicer, pb.DESCRIPTOR.services_by_name["Probe"])
    made = await serve_connect(dispatcher, clock=clock, connections=3)
    yield made
    await made.stop()


class Caller:
    """A connection that sends and reads octets."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Reads the status, headers and body of the next answer."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 30)).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        return int(head[0].split()[1]), headers, await self.reader.readexactly(int(headers.get("content-length", 0)))

    async def ended(self) -> bool:
        """Tells whether the server has closed the connection without sending more."""
        return await asyncio.wait_for(self.reader.read(), 30) == b""

    async def asks(self, what: str = "echo", *headers: str, **fields: object) -> tuple[int, dict[str, str], bytes]:
        self.writer.write(request(pb.Ask(what=what, **fields), *headers))
        return await self.answer()


def request(ask: pb.Ask, *headers: str, path: str = UNARY, verb: str = "POST", length: int | None = None) -> bytes:
    body = ask.SerializeToString()
    given = {line.split(":")[0].lower() for line in headers}
    lines = [*headers, f"content-length: {len(body) if length is None else length}"]
    if "content-type" not in given:
        lines.append("content-type: application/proto")
    return (
        f"{verb} {path} HTTP/1.1\r\nhost: x\r\n" + "".join(f"{line}\r\n" for line in lines) + "\r\n"
    ).encode() + body


@pytest.fixture
async def connect(server: ConnectServer):
    callers: list[Caller] = []

    async def one() -> Caller:
        callers.append(Caller(*await asyncio.open_connection("127.0.0.1", server.port)))
        return callers[-1]

    yield one
    for caller in callers:
        caller.writer.close()


class TestRefusals:
    @pytest.mark.parametrize(
        ("octets", "status", "code"),
        [
            (request(pb.Ask(), verb="GET"), 405, "unknown"),
            (request(pb.Ask(), verb="DELETE"), 405, "unknown"),
            (request(pb.Ask(), path="/souktest.v1.Probe/None"), 404, "unimplemented"),
            (request(pb.Ask(), path="/"), 404, "unimplemented"),
            (request(pb.Ask(), path="/%ff\\..//"), 404, "unimplemented"),
            (request(pb.Ask(), path="/souktest.v1.Probe/Down"), 415, "unknown"),
            (request(pb.Ask(), "content-type: application/json"), 415, "unknown"),
            (request(pb.Ask(), "content-type: application/connect+proto"), 415, "unknown"),
            (request(pb.Ask(), "content-encoding: gzip"), 501, "unimplemented"),
            (request(pb.Ask(), "connect-protocol-version: 2"), 400, "invalid_argument"),
            (request(pb.Ask(), "connect-timeout-ms: soon"), 400, "invalid_argument"),
            (request(pb.Ask(), "connect-timeout-ms: -1"), 400, "invalid_argument"),
            (request(pb.Ask(), "connect-timeout-ms: 12345678901"), 400, "invalid_argument"),
            (request(pb.Ask(), "connect-timeout-ms: 0"), 504, "deadline_exceeded"),
            (request(pb.Ask(), "a-bin: !"), 400, "invalid_argument"),
            (request(pb.Ask(), "a: \xfc"), 400, "invalid_argument"),
            (request(pb.Ask(), "large: " + "x" * 9_000), 429, "resource_exhausted"),
        ],
    )
    async def test_a_wrong_request_leaves_the_connection(self, octets: bytes, status: int, code: str, connect) -> None:
        caller = await connect()
        caller.writer.write(octets)
        found, headers, body = await caller.answer()
        assert (found, orjson.loads(body)["code"]) == (status, code)
        assert headers["content-type"] == "application/json"
        assert (await caller.asks())[0] == 200

    async def test_a_refusal_says_what_is_understood(self, connect) -> None:
        caller = await connect()
        assert (await caller.asks("echo", "content-encoding: br"))[1]["accept-encoding"] == "identity"
        assert (await caller.asks("echo", "content-type: text/plain"))[1]["accept-post"] == "application/proto"
        caller.writer.write(request(pb.Ask(), verb="PUT"))
        assert (await caller.answer())[1]["allow"] == "post"

    @pytest.mark.parametrize(
        "octets",
        [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"hello\r\n\r\n",
            b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            b"POST / HTTP/1.1\r\nhost: x\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
            b"POST / HTTP/1.1\r\nhost : x\r\n\r\n",
        ],
    )
    async def test_what_is_no_http_ends_the_connection(self, octets: bytes, connect) -> None:
        caller = await connect()
        caller.writer.write(octets)
        status, headers, _ = await caller.answer()
        assert (status, headers["connection"]) == (400, "close")
        assert await caller.ended()


class TestTooMuch:
    async def test_a_head_without_end(self, connect) -> None:
        caller = await connect()
        caller.writer.write(b"POST / HTTP/1.1\r\nlarge: " + b"x" * 70_000)
        assert (await caller.answer())[0] == 431
        assert await caller.ended()

    async def test_too_many_headers(self, connect) -> None:
        caller = await connect()
        caller.writer.write(b"POST / HTTP/1.1\r\n" + b"a: b\r\n" * 300 + b"\r\n")
        assert (await caller.answer())[0] == 431
        assert await caller.ended()

    async def test_a_body_is_refused_before_it_is_read(self, connect) -> None:
        caller = await connect()
        caller.writer.write(request(pb.Ask(), length=MESSAGE_LIMIT + 1))
        status, _, body = await caller.answer()
        assert (status, orjson.loads(body)["code"]) == (429, "resource_exhausted")
        assert f"larger than max ({MESSAGE_LIMIT + 1} vs. {MESSAGE_LIMIT})" in orjson.loads(body)["message"]
        caller.writer.write(b"x" * MESSAGE_LIMIT)  # what is on its way does not destroy the answer
        await caller.writer.drain()
        assert await caller.ended()

    async def test_a_chunked_body_without_end(self, connect) -> None:
        caller = await connect()
        head = request(pb.Ask()).replace(b"content-length: 0", b"transfer-encoding: chunked")
        caller.writer.write(head + (b"10000\r\n" + b"x" * 0x10000 + b"\r\n") * 65)
        assert (await caller.answer())[0] == 429
        assert await caller.ended()

    @pytest.mark.parametrize("piece", [b"a: " + b"x" * 1_000, b"x" * 1_000, b"a: b\r\n" * 100])
    async def test_trailers_without_end(self, piece: bytes, connect) -> None:
        caller = await connect()
        head = request(pb.Ask()).replace(b"content-length: 0", b"transfer-encoding: chunked")
        caller.writer.write(head + b"1\r\nx\r\n0\r\n" + piece * 100)
        assert (await caller.answer())[0] == 431
        assert await caller.ended()

    async def test_too_many_connections(self, connect) -> None:
        callers = [await connect() for _ in range(3)]
        for caller in callers:
            assert (await caller.asks())[0] == 200
        turned_away = await connect()
        assert (await turned_away.answer())[0] == 503
        assert await turned_away.ended()
        assert (await callers[0].asks())[0] == 200


class TestSlow:
    @pytest.mark.parametrize("octets", [b"P", b"POST / HTTP/1.1\r\nhost: x\r\n", request(pb.Ask(), length=10), b"\r\n"])
    async def test_half_a_request(self, octets: bytes, connect, server: ConnectServer, clock: FakeClock) -> None:
        caller = await connect()
        caller.writer.write(octets)
        await (await connect()).asks()  # by now the first has been read
        clock.advance(SLOW - 1)
        server.sweep()
        clock.advance(IDLE)
        server.sweep()
        status, headers, _ = await caller.answer()
        assert (status, headers["connection"]) == (408, "close")
        assert await caller.ended()

    async def test_a_connection_that_waits(self, connect, server: ConnectServer, clock: FakeClock) -> None:
        caller = await connect()
        await caller.asks()
        clock.advance(IDLE - 1)
        server.sweep()
        await caller.asks()
        clock.advance(IDLE + 1)
        server.sweep()
        assert (await caller.answer())[0] == 408
        assert await caller.ended()

    async def test_a_handler_may_take_longer(self, connect, server: ConnectServer, clock: FakeClock, servicer) -> None:
        caller = await connect()
        caller.writer.write(request(pb.Ask(what="wait-for", notes=["go"], key="k")))
        await (await connect()).asks()
        clock.advance(IDLE + 1)
        server.sweep()
        servicer.events["go"].set()
        assert (await caller.answer())[0] == 200

    async def test_who_reads_no_answers_is_not_read(self, connect, server: ConnectServer) -> None:
        caller = await connect()
        caller.writer.transport.pause_reading()
        for _ in range(30):
            caller.writer.write(request(pb.Ask(what="large", count=MESSAGE_LIMIT - 100)))
            await asyncio.sleep(0.005)
        (connection,) = server.connections
        assert connection.stuck
        assert connection.unread <= 2 * MESSAGE_LIMIT

    async def test_an_answer_that_nobody_reads(self, connect, server: ConnectServer, clock: FakeClock) -> None:
        caller = await connect()
        caller.writer.transport.pause_reading()
        for _ in range(4):
            caller.writer.write(request(pb.Ask(what="large", count=MESSAGE_LIMIT - 100)))
            await asyncio.sleep(0)
        while not any(connection.stuck for connection in server.connections):
            await asyncio.sleep(0.001)
        clock.advance(SLOW + 1)
        server.sweep()
        while server.connections:
            await asyncio.sleep(0.001)


class TestGone:
    async def test_half_a_request_reaches_no_handler(self, connect, server: ConnectServer, servicer: Probe) -> None:
        caller = await connect()
        caller.writer.write(request(pb.Ask(what="happen", notes=["happened"]))[:-1])
        await caller.writer.drain()
        caller.writer.close()
        while server.connections:
            await asyncio.sleep(0.001)
        assert not servicer.events["happened"].is_set()

    async def test_hanging_up_cancels_the_handler(self, connect, servicer: Probe) -> None:
        caller = await connect()
        caller.writer.write(request(pb.Ask(what="hang", key="k")))
        await servicer.events["began k"].wait()
        caller.writer.close()
        await asyncio.wait_for(servicer.events["cancelled k"].wait(), 30)
        await asyncio.wait_for(servicer.events["done k"].wait(), 30)


class TestHttp:
    async def test_the_octets_of_an_answer(self, connect) -> None:
        caller = await connect()
        caller.writer.write(request(pb.Ask(what="send-metadata")))
        assert await caller.reader.readuntil(b"\r\n\r\n") == (
            b"HTTP/1.1 200 OK\r\ndate: Fri, 15 Jan 2027 08:00:00 GMT\r\n"
            b"content-type: application/proto\r\ncontent-length: 0\r\n"
            b"first: 1\r\nraw-bin: AP8\r\ntrailer-last: 2\r\ntrailer-twice: a\r\ntrailer-twice: b\r\n\r\n"
        )

    async def test_names_in_any_case_and_padding(self, connect) -> None:
        caller = await connect()
        sent = ("A: x ", "B-Bin: AP8=", "b-bin: AP8, AQ==", "Connect-Protocol-Version: 1", "Connect-Timeout-Ms: 5000")
        status, _, body = await caller.asks("metadata", *sent)
        seen = pb.Answer.FromString(body).seen
        assert (status, [seen[key] for key in sorted(seen)]) == (
            200,
            ["('a', 'x')", "('b-bin', b'\\x00\\xff')", "('b-bin', b'\\x00\\xff')", "('b-bin', b'\\x01')"],
        )

    async def test_a_chunked_body(self, connect) -> None:
        caller = await connect()
        body = pb.Ask(what="echo", count=3).SerializeToString()
        head = request(pb.Ask()).replace(b"content-length: 0", b"transfer-encoding: chunked")
        for octet in (*head, *b"".join(b"1\r\n%c\r\n" % each for each in body), *b"0\r\ntrailer: x\r\n\r\n"):
            caller.writer.write(bytes([octet]))
            await asyncio.sleep(0)
        assert pb.Answer.FromString((await caller.answer())[2]).number == 3

    async def test_a_body_that_waits_to_be_asked_for(self, connect) -> None:
        caller = await connect()
        octets = request(pb.Ask(what="echo", count=3), "expect: 100-continue")
        head, _, body = octets.partition(b"\r\n\r\n")
        caller.writer.write(head + b"\r\n\r\n")
        assert await caller.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        caller.writer.write(body)
        assert (await caller.answer())[0] == 200

    async def test_requests_sent_ahead_are_not_read(self, connect, servicer: Probe) -> None:
        caller = await connect()
        caller.writer.write(request(pb.Ask(what="echo")) + request(pb.Ask(what="happen", notes=["happened"])))
        status, headers, _ = await caller.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert await caller.ended()
        assert not servicer.events["happened"].is_set()

    async def test_requests_sent_ahead_while_one_is_handled(self, connect, servicer: Probe) -> None:
        caller = await connect()
        caller.writer.write(request(pb.Ask(what="wait-for", notes=["go"], key="k")))
        await (await connect()).asks()
        caller.writer.write(request(pb.Ask(what="happen", notes=["happened"])))
        await (await connect()).asks()
        servicer.events["go"].set()
        assert (await caller.answer())[1]["connection"] == "close"
        assert await caller.ended()
        assert not servicer.events["happened"].is_set()

    async def test_a_caller_who_wants_to_close(self, connect) -> None:
        caller = await connect()
        assert (await caller.asks("echo", "connection: close"))[0] == 200
        assert await caller.ended()

    async def test_no_deadline_is_none(self, connect) -> None:
        body = (await (await connect()).asks("describe"))[2]
        seen = pb.Answer.FromString(body).seen
        assert seen["remaining"] == ""
        assert 19 < float(seen["deadline"]) <= 20.5
        assert seen["peer"].startswith("ipv4:127.0.0.1:")

    async def test_a_deadline_of_the_server(self, connect, servicer: Probe) -> None:
        caller = await connect()
        status, _, body = await caller.asks("hang", "connect-timeout-ms: 50", key="k")
        assert (status, orjson.loads(body)["code"]) == (504, "deadline_exceeded")
        await asyncio.wait_for(servicer.events["cancelled k"].wait(), 30)
        assert (await caller.asks())[0] == 200
