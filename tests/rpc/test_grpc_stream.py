"""A stream over gRPC that is cancelled before there is a connection."""

import asyncio
import gc
import io
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from souk.kernel.clock import SystemClock
from souk.rpc.call import Call
from souk.rpc.client.channel import Channel
from souk.rpc.client.outgoing import method_of
from souk.rpc.grpc.server import serve
from souk.rpc.grpc.stream import Connected, GrpcStream
from souk.rpc.grpc.transport import GrpcTransport
from souk.rpc.server.dispatcher import Dispatcher
from souk.testing.probe import probe_pb2 as pb
from souk.testing.probe.probe_pb2_grpc import ProbeStub
from souk.testing.rpc.probe import Probe, tokens

if TYPE_CHECKING:
    from souk.testing.probe.probe_pb2_grpc import ProbeAsyncStub

CLOCK = SystemClock()
CANCELLED = (grpc.StatusCode.CANCELLED, "Locally cancelled by application!")


class Counting(Probe):
    """Records the key of each stream that reaches it."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[str] = []

    async def Down(self, request: pb.Ask, context: Any) -> AsyncIterator[pb.Answer]:
        self.keys.append(request.key)
        async for answer in super().Down(request, context):
            yield answer

    async def Up(self, request_iterator: AsyncIterator[pb.Ask], context: Any) -> pb.Answer:
        self.keys.append("up")
        return await super().Up(request_iterator, context)


@pytest.fixture
async def complaints() -> list[dict[str, Any]]:
    """Records the loop's reports of failed tasks, without those of gRPC's poller about loops of earlier tests."""
    found: list[dict[str, Any]] = []

    def complain(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "future" in context or "task" in context:
            found.append(context)

    asyncio.get_running_loop().set_exception_handler(complain)
    return found


@pytest.fixture
def address() -> str:
    """An address at which no process listens yet."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture
async def stub(address: str) -> "AsyncIterator[ProbeAsyncStub]":
    transport = GrpcTransport(lambda: [address], CLOCK)
    yield ProbeStub(Channel(transport, tokens=tokens("test"), clock=CLOCK))
    await transport.close()


@asynccontextmanager
async def serving(probe: Counting, address: str) -> AsyncIterator[Counting]:
    dispatcher = Dispatcher(tokens("probe"))
    dispatcher.add(probe, pb.DESCRIPTOR.services_by_name["Probe"])
    server = await serve(dispatcher, address)
    try:
        yield probe
    finally:
        await server.stop(0)


def down(stub: "ProbeAsyncStub") -> Any:
    return stub.Down(pb.Ask(key="cancelled", count=1), wait_for_ready=True, timeout=20)


def up(stub: "ProbeAsyncStub") -> Any:
    return stub.Up(wait_for_ready=True, timeout=20)


@pytest.mark.parametrize("begin", [down, up])
@pytest.mark.parametrize("wait", [0.0, 0.05])
async def test_it_never_reaches_the_server(
    begin: "Callable[[ProbeAsyncStub], Any]",
    wait: float,
    stub: "ProbeAsyncStub",
    address: str,
    complaints: list[dict[str, Any]],
) -> None:
    call = begin(stub)
    ends: list[object] = []
    call.add_done_callback(ends.append)
    if wait:
        await asyncio.sleep(wait)
    assert (call.cancel(), call.cancel()) == (True, False)
    assert (call.done(), call.cancelled(), ends) == (True, True, [call])
    assert (await call.code(), await call.details()) == CANCELLED
    async with serving(Counting(), address) as probe:
        served = stub.Down(pb.Ask(key="served", count=1), wait_for_ready=True, timeout=20)
        assert [answer.number async for answer in served] == [0]
        await asyncio.sleep(0.1)
        assert probe.keys == ["served"]
    del call
    ends.clear()
    gc.collect()
    assert complaints == []


async def test_whoever_waits_for_it_learns_so(stub: "ProbeAsyncStub", complaints: list[dict[str, Any]]) -> None:
    call = down(stub)
    reading = asyncio.ensure_future(call.read())
    await asyncio.sleep(0.05)
    assert call.cancel()
    async with asyncio.timeout(30):
        await asyncio.wait({reading})
    assert reading.cancelled()
    del call, reading
    gc.collect()
    assert complaints == []


class Broken:
    """A transport that fails in its own code."""

    async def connected(self, call: Call) -> Connected:
        raise FileNotFoundError("no such file")

    def remaining(self, call: Call) -> float:
        return 1.0


async def test_a_fault_of_the_transport_ends_the_stream(written: io.StringIO) -> None:
    stream = GrpcStream(Broken(), Call(method_of("/souktest.v1.Probe/Down"), b"", (), CLOCK.monotonic() + 1), True)
    async with asyncio.timeout(30):
        assert await stream.receive() is None
        status = await stream.status()
    assert (status.code, status.sent) == (grpc.StatusCode.UNAVAILABLE, False)
    assert "no such file" in written.getvalue()
