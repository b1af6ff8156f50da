"""Anything may come over a connection: both ends stay whole, bounded, and sure of what they know."""

import asyncio
from collections.abc import Iterator
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from souk.descriptors.contract import contract_of
from souk.http1.reader import (
    HEAD_LIMIT,
    BodyTooLarge,
    HeadTooLarge,
    Malformed,
    Reader,
    RequestReader,
    ResponseReader,
)
from souk.kernel.clock import SystemClock
from souk.kernel.errors import Outcome
from souk.rpc.call import Call, CallFailed
from souk.rpc.connect.client_connection import ClientConnection
from souk.rpc.connect.reply import ConnectReply
from souk.rpc.connect.server import ConnectServer
from souk.rpc.connect.server_connection import ServerConnection
from souk.rpc.server.dispatcher import Dispatcher
from souk.rpc.transport import MESSAGE_LIMIT
from souk.testing.memory_transport import MemoryTransport
from souk.testing.probe import probe_pb2 as pb
from souk.testing.rpc.probe import Probe
from tests.properties import examples

RELAXED = settings(max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.too_slow])
SERVICE = pb.DESCRIPTOR.services_by_name["Probe"]
METHOD = contract_of(SERVICE).methods["/souktest.v1.Probe/Unary"]
BODY = pb.Ask(what="echo", count=3).SerializeToString()

PIECES = (
    *(b"\r\n", b"\r\n\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n"),
    *(b"content-length: 3\r\n", b"content-length: 99999999\r\n", b"transfer-encoding: chunked\r\n"),
    *(b"connection: close\r\n", b"expect: 100-continue\r\n", b"upgrade: x\r\nconnection: upgrade\r\n"),
    *(b"content-type: application/proto\r\n", b"connect-timeout-ms: 1\r\n", b"a-bin: AP8\r\n"),
)
STARTS = (
    *(b"POST /souktest.v1.Probe/Unary HTTP/1.1\r\n", b"GET / HTTP/1.0\r\n", b"HTTP/1.1 200 OK\r\n", b""),
    *(b"HTTP/1.1 100 x\r\n\r\n", b"HTTP/1.1 408 x\r\nconnection: close\r\n"),
    *(b"HTTP/1.1 500 x\r\ncontent-type: application/json\r\n", b"\r\n"),
)
pieces = st.one_of(st.binary(max_size=30), st.sampled_from(PIECES))
starts = st.sampled_from(STARTS)
nonsense = st.tuples(starts, st.lists(pieces, max_size=8)).map(lambda found: found[0] + b"".join(found[1]))
request = (
    b"POST /souktest.v1.Probe/Unary HTTP/1.1\r\nhost: x\r\ncontent-type: application/proto\r\na-bin: AP8\r\n"
    b"content-length: %d\r\n\r\n" % len(BODY) + BODY
)
answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\ntrailer-a: 1\r\ncontent-length: 4\r\n\r\nabcd"


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """A message with some of it cut out, put in, or changed."""
    start = draw(st.integers(0, len(whole)))
    end = draw(st.integers(start, min(len(whole), start + 20)))
    return whole[:start] + draw(pieces) + whole[end:]


@st.composite
def parts(draw: st.DrawFn, octets: st.SearchStrategy[bytes]) -> list[bytes]:
    """Cuts the octets into pieces, as they may arrive."""
    whole = draw(octets)
    cuts = sorted({0, len(whole), *draw(st.lists(st.integers(0, len(whole)), max_size=5))})
    return [whole[start:end] for start, end in pairwise(cuts)]


def read(reader: Reader, came: list[bytes]) -> object:
    """Gives what a reader makes of the octets, which must not depend on how they are cut."""
    try:
        for part in came:
            if reader.feed(part):
                return reader.headers, bytes(reader.body), reader.keep_alive
    except (Malformed, HeadTooLarge, BodyTooLarge) as error:
        return type(error)
    return None


@RELAXED
@given(parts(st.one_of(nonsense, damaged(request))))
def test_requests_read_the_same_however_they_come(came: list[bytes]) -> None:
    in_parts, whole = read(RequestReader(MESSAGE_LIMIT), came), read(RequestReader(MESSAGE_LIMIT), [b"".join(came)])
    # What comes after a message is only seen where it comes with it; it may ask for what is refused.
    assert in_parts == whole or Malformed in (in_parts, whole)


@RELAXED
@given(parts(st.one_of(nonsense, damaged(answer))))
def test_answers_read_the_same_however_they_come(came: list[bytes]) -> None:
    in_parts, whole = read(ResponseReader(MESSAGE_LIMIT), came), read(ResponseReader(MESSAGE_LIMIT), [b"".join(came)])
    assert in_parts == whole or Malformed in (in_parts, whole)


@settings(max_examples=examples(20), deadline=None)
@given(st.sampled_from([b"x" * 5_000, b"a: b\r\n" * 800, b"7d0\r\n" + b"x" * 2_000 + b"\r\n"]), st.booleans())
def test_what_is_kept_is_bounded(part: bytes, chunked: bool) -> None:
    reader = RequestReader(MESSAGE_LIMIT)
    head = b"POST / HTTP/1.1\r\n" + (b"transfer-encoding: chunked\r\n\r\n" if chunked else b"large: ")
    came = [head, *[part] * 3_000]
    read(reader, came)
    kept = len(reader.body) + sum(len(name) + len(value) for name, value in reader.headers)
    assert kept <= MESSAGE_LIMIT + HEAD_LIMIT + len(part)


class _Pool:
    """Fakes the pool that a connection calls back."""

    def __init__(self) -> None:
        self.freed = self.left = self.resent = 0

    def head(self, path: str) -> str:
        return f"POST {path} HTTP/1.1\r\n"

    def free(self, connection: ClientConnection) -> None:
        self.freed += 1

    def gone(self, connection: ClientConnection) -> None:
        self.left += 1

    def again(self, reply: ConnectReply) -> None:
        self.resent += 1


@RELAXED
@given(parts(st.one_of(nonsense, damaged(answer), st.just(answer))), st.booleans())
def test_a_caller_knows_how_its_call_ended(came: list[bytes], used: bool) -> None:
    asyncio.run(_call(came, used))


async def _call(came: list[bytes], used: bool) -> None:
    pool, transport = _Pool(), MemoryTransport()
    connection = ClientConnection(pool)
    connection.connection_made(transport)
    if used:
        first = ConnectReply(_a_call(), 5)
        connection.send(first, 5)
        connection.data_received(answer)
        assert (await first).message == b"abcd"
    reply = ConnectReply(_a_call(), 5)
    connection.send(reply, 5)
    for part in came:
        if not transport.closed:
            connection.data_received(part)
    # What has not been answered by now never will be.
    connection.connection_lost(None)
    assert transport.closed
    if not pool.resent:
        assert reply.done()
        error = reply.exception()
        assert error is None or (isinstance(error, CallFailed) and error.outcome is Outcome.UNKNOWN)
    else:
        assert used
    reply.cancel()
    transport.dispose()


def _a_call() -> Call:
    return Call(METHOD, BODY, (), SystemClock().monotonic() + 5)


@RELAXED
@given(parts(st.one_of(nonsense, damaged(request), st.just(request))))
def test_a_server_answers_in_whole_messages(came: list[bytes]) -> None:
    asyncio.run(_serve(came))


async def _serve(came: list[bytes]) -> None:
    dispatcher = Dispatcher(None)
    dispatcher.add(Probe(), SERVICE)
    server, transport = ConnectServer(dispatcher, SystemClock()), MemoryTransport()
    connection = ServerConnection(server)
    connection.connection_made(transport)
    for part in came:
        if not transport.closed:
            connection.data_received(part)
    for _ in range(5):
        await asyncio.sleep(0)
    for status, code in _answers(bytes(transport.written)):
        assert 100 <= status < 600
        assert status in (200, 100) or code
    connection.connection_lost(None)
    if server.running:
        await asyncio.wait(server.running)
    assert server.connections == set()
    transport.dispose()


def _answers(written: bytes) -> Iterator[tuple[int, bool]]:
    """Each answer's status, and whether it has a code of Connect's."""
    while written:
        reader = ResponseReader(MESSAGE_LIMIT)
        head, _, rest = written.partition(b"\r\n\r\n")
        if head.startswith(b"HTTP/1.1 100"):
            yield 100, False
            written = rest
            continue
        length = next(int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"content-length: "))
        assert reader.feed(head + b"\r\n\r\n" + rest[:length])
        yield reader.status, reader.body.startswith(b'{"code":') or reader.status in (408, 503)
        written = rest[length:]
