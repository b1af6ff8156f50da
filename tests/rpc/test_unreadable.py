"""Replies that are no message: whoever answers so has failed the call, by gRPC as over Connect."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import pytest

from souk.kernel.clock import SystemClock
from souk.kernel.errors import Outcome
from souk.resilience.backoff import Backoff
from souk.resilience.balancer import Balancer, BalancerMember, BalancerSettings, EjectionSettings
from souk.resilience.breaker.breaker import Breaker
from souk.resilience.breaker.settings import TEXTBOOK
from souk.resilience.choices import round_robin
from souk.resilience.retry import Retry, RetrySettings
from souk.rpc.call import CallFailed, Layer
from souk.rpc.client.channel import Channel
from souk.rpc.client.layer_stack import Guards, standard_layers
from souk.rpc.client.layers import Shed, with_tracing
from souk.rpc.connect.transport import ConnectTransport
from souk.rpc.grpc.transport import GrpcTransport
from souk.testing.probe import probe_pb2 as pb
from souk.testing.probe.probe_pb2_grpc import ProbeStub
from souk.testing.raw_peer import raw_server, request

if TYPE_CHECKING:
    from souk.testing.probe.probe_pb2_grpc import ProbeAsyncStub

CLOCK = SystemClock()
ASK = pb.Ask(what="echo")
NOISE = b"\xff\xfe not a message"
GOOD = pb.Answer(number=7).SerializeToString()
ANSWERS = [NOISE, GOOD[:-1]]


@dataclass
class Peer:
    """A server that answers every unary call with the same octets, and counts the calls."""

    answer: bytes
    address: str = ""
    calls: int = 0
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)


class _Anything(grpc.GenericRpcHandler):
    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        async def down(asked: bytes, context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
            try:
                yield GOOD
                yield self._peer.answer
                await asyncio.Future()
            finally:
                self._peer.cancelled.set()

        async def up(asked: AsyncIterator[bytes], context: object) -> bytes:
            return self._peer.answer

        async def unary(asked: bytes, context: object) -> bytes:
            self._peer.calls += 1
            return self._peer.answer

        if details.method.endswith("/Down"):
            return grpc.unary_stream_rpc_method_handler(down)
        if details.method.endswith("/Up"):
            return grpc.stream_unary_rpc_method_handler(up)
        return grpc.unary_unary_rpc_method_handler(unary)


@asynccontextmanager
async def by_grpc(answer: bytes) -> AsyncIterator[Peer]:
    peer, server = Peer(answer), grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((_Anything(peer),))
    peer.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield peer
    await server.stop(0)


@asynccontextmanager
async def by_connect(answer: bytes) -> AsyncIterator[Peer]:
    peer = Peer(answer)
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\ncontent-length: {len(answer)}\r\n\r\n"

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await request(reader)
            peer.calls += 1
            writer.write(head.encode() + answer)

    async with raw_server(script) as server:
        peer.address = server.address
        yield peer


@dataclass
class Way:
    """One transport: its peers, and stubs that call them."""

    serve: Callable[[bytes], object]
    transport: type[GrpcTransport] | type[ConnectTransport]
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def peer(self, answer: bytes) -> Peer:
        return await self.stack.enter_async_context(self.serve(answer))

    def channel(self, layers: Sequence[Layer], *peers: Peer) -> Channel:
        addresses = [peer.address for peer in peers]
        transport = self.transport(lambda: addresses, CLOCK)
        self.stack.push_async_callback(transport.close)
        return Channel(transport, layers=layers, clock=CLOCK)

    def stub(self, layers: Sequence[Layer], *peers: Peer) -> "ProbeAsyncStub":
        return ProbeStub(self.channel(layers, *peers))


@pytest.fixture(params=[(by_grpc, GrpcTransport), (by_connect, ConnectTransport)], ids=["grpc", "connect"])
async def way(request: pytest.FixtureRequest) -> AsyncIterator[Way]:
    way = Way(*request.param)
    async with way.stack:
        yield way


@pytest.fixture
async def grpc_way() -> AsyncIterator[Way]:
    way = Way(by_grpc, GrpcTransport)
    async with way.stack:
        yield way


async def failure(call: Awaitable[object]) -> CallFailed:
    with pytest.raises(CallFailed) as raised:
        await call
    return raised.value


def unreadable(error: CallFailed) -> bool:
    return (error.code(), error.outcome, error.reason) == (grpc.StatusCode.INTERNAL, Outcome.UNKNOWN, "")


@pytest.mark.parametrize("answer", ANSWERS, ids=["noise", "cut off"])
async def test_its_status_is_internal_and_its_outcome_unknown(way: Way, answer: bytes) -> None:
    call = way.stub([], await way.peer(answer)).Unary(ASK)
    assert unreadable(await failure(call))
    assert await call.code() is grpc.StatusCode.INTERNAL
    assert await call.details() == "Exception deserializing response!"


async def test_the_breaker_opens(way: Way) -> None:
    peer, guards = await way.peer(NOISE), Guards(breaker=Breaker(TEXTBOOK))
    stub = way.stub(standard_layers("probe", CLOCK, guards=lambda method: guards), peer)
    before = 0
    while not isinstance(error := await failure(stub.Unary(ASK)), Shed):
        assert unreadable(error)
        assert peer.calls > before, "neither answered nor shed"
        before = peer.calls
        assert before <= 10, "the breaker counts nothing"
    assert await failure(stub.Unary(ASK))
    assert peer.calls == before


async def test_the_instance_is_ejected_and_the_others_answer(way: Way) -> None:
    bad, good = await way.peer(NOISE), await way.peer(GOOD)
    ejection = EjectionSettings(failures=2, ejected_for=Backoff(3_600.0, jitter=0.0))
    balancer = Balancer(round_robin(), BalancerSettings(ejection))
    balancer.update([BalancerMember(bad.address), BalancerMember(good.address)], CLOCK.monotonic())
    stub = way.stub(standard_layers("probe", CLOCK, balancer=balancer), bad, good)
    ends = await asyncio.gather(*(stub.Unary(ASK) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(end, CallFailed) and unreadable(end) for end in ends) == 2
    for _ in range(16):
        assert (await stub.Unary(ASK)).number == 7
    assert (bad.calls, good.calls) == (2, 18)


async def test_what_may_be_tried_again_is_tried_elsewhere(way: Way) -> None:
    bad, good = await way.peer(NOISE), await way.peer(GOOD)
    balancer = Balancer(round_robin())
    balancer.update([BalancerMember(bad.address), BalancerMember(good.address)], CLOCK.monotonic())
    retry = Retry(RetrySettings(tries=2, backoff=Backoff(0.001, jitter=0.0)), now=CLOCK.monotonic())
    stub = way.stub(standard_layers("probe", CLOCK, balancer=balancer, retry=retry), bad, good)
    for _ in range(4):
        assert (await stub.Unary(pb.Ask(what="echo", key="a"))).number == 7
    assert bad.calls >= 1


async def test_whoever_counts_calls_sees_a_failure(way: Way) -> None:
    ends: list[CallFailed | None] = []
    stub = way.stub([with_tracing(CLOCK, lambda call, took, error: ends.append(error))], await way.peer(NOISE))
    error = await failure(stub.Unary(ASK))
    assert ends == [error]


async def test_a_caller_who_wants_octets_gets_them(way: Way) -> None:
    channel = way.channel([], await way.peer(NOISE))
    call = channel.unary_unary("/souktest.v1.Probe/Unary", request_serializer=pb.Ask.SerializeToString)
    assert await call(ASK) == NOISE


async def test_a_message_of_a_stream_that_is_none_ends_the_stream(grpc_way: Way) -> None:
    peer = await grpc_way.peer(NOISE)
    call = grpc_way.stub([], peer).Down(ASK)
    assert (await call.read()).number == 7
    assert unreadable(await failure(call.read()))
    assert call.done()
    async with asyncio.timeout(120):
        await peer.cancelled.wait()


async def test_a_stream_that_is_answered_with_no_message_fails(grpc_way: Way) -> None:
    call = grpc_way.stub([], await grpc_way.peer(NOISE)).Up(iter([ASK]))
    assert unreadable(await failure(call))
