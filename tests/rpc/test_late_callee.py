"""A callee that comes up late: a failure from before a call is no answer to it, and one that is away ends it soon."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from souk.kernel.errors import Outcome
from souk.rpc.call import CallFailed
from souk.rpc.client.channel import Channel
from souk.rpc.connect.pool import CONNECT_TIMEOUT
from souk.rpc.connect.server import serve_connect
from souk.rpc.connect.transport import ConnectTransport
from souk.rpc.grpc.server import serve
from souk.rpc.grpc.transport import GrpcTransport
from souk.rpc.server.dispatcher import Dispatcher
from souk.rpc.tls import Certificates, MutualTls
from souk.testing.certificates import Authority
from souk.testing.probe import probe_pb2 as pb
from souk.testing.probe.probe_pb2_grpc import ProbeStub
from souk.testing.rpc.probe import Probe, tokens

if TYPE_CHECKING:
    from souk.testing.probe.probe_pb2_grpc import ProbeAsyncStub

ASK = pb.Ask(what="echo")
Transport = GrpcTransport | ConnectTransport
KINDS: dict[str, Callable[..., Transport]] = {"connect": ConnectTransport, "grpc": GrpcTransport}


@pytest.fixture(params=["connect", "grpc"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["port", "socket"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An address at which nobody listens, and that nobody else takes."""
    if request.param == "socket":
        yield f"unix:{tmp_path}/probe.sock"
        return
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture
async def transport(protocol: str, address: str) -> AsyncIterator[Transport]:
    made = KINDS[protocol](lambda: [address])
    yield made
    await made.close(0)


@pytest.fixture
def probe(transport: Transport) -> "ProbeAsyncStub":
    return called(transport)


def called(transport: Transport) -> "ProbeAsyncStub":
    return ProbeStub(Channel(transport, tokens=tokens("test")))


@asynccontextmanager
async def serving(protocol: str, address: str, tls: MutualTls | None = None) -> AsyncIterator[str]:
    dispatcher = Dispatcher(tokens("probe"))
    dispatcher.add(Probe(), pb.DESCRIPTOR.services_by_name["Probe"])
    server: Any = await (serve_connect if protocol == "connect" else serve)(dispatcher, address, tls=tls)
    try:
        yield server.address
    finally:
        await server.stop(0)


async def refusal(call: Awaitable[object]) -> CallFailed:
    with pytest.raises(CallFailed) as raised:
        await call
    assert (raised.value.code(), raised.value.outcome) == (grpc.StatusCode.UNAVAILABLE, Outcome.NOT_SENT)
    return raised.value


async def test_a_call_at_once_after_its_callee_came_up(protocol: str, address: str, probe: "ProbeAsyncStub") -> None:
    for _ in range(4):  # with each failure the pause before the next attempt of the background grows
        await refusal(probe.Unary(ASK))
        await asyncio.sleep(0.1)
    async with serving(protocol, address):
        await probe.Unary(ASK)


async def test_an_attempt_before_any_call_is_no_answer(
    protocol: str, address: str, transport: Transport, probe: "ProbeAsyncStub"
) -> None:
    transport.warm(address)
    await asyncio.sleep(0.3)
    async with serving(protocol, address):
        await probe.Unary(ASK)


async def test_a_patient_call_is_not_held_up_by_others(protocol: str, address: str, probe: "ProbeAsyncStub") -> None:
    patient = asyncio.ensure_future(probe.Unary(ASK, wait_for_ready=True, timeout=10))
    for _ in range(3):
        await refusal(probe.Unary(ASK))
        await asyncio.sleep(0.05)
    async with serving(protocol, address):
        await probe.Unary(ASK)
        await patient


async def test_many_calls_at_once_after_their_callee_came_up(
    protocol: str, address: str, probe: "ProbeAsyncStub"
) -> None:
    await asyncio.gather(*(refusal(probe.Unary(ASK)) for _ in range(20)))
    async with serving(protocol, address):
        await asyncio.gather(*(probe.Unary(ASK) for _ in range(20)))


async def test_calls_to_a_callee_that_is_away_end_soon(address: str, probe: "ProbeAsyncStub") -> None:
    took = []
    for _ in range(10):
        began = time.monotonic()
        await refusal(probe.Unary(ASK, timeout=60))
        took.append(time.monotonic() - began)
    # The machine may be busy with something else for a moment.
    assert min(took) < CONNECT_TIMEOUT / 10


@pytest.mark.parametrize("protocol", ["grpc"])
async def test_a_stream_at_once_after_its_callee_came_up(address: str, probe: "ProbeAsyncStub") -> None:
    for _ in range(3):
        await refusal(probe.Down(pb.Ask(count=1)).read())
    async with serving("grpc", address):
        assert [answer async for answer in probe.Down(pb.Ask(count=1))] != []


class Gate:
    """Accepts connections, and passes them on to `target` once it is open; the first only if it `passes_all`."""

    def __init__(self, target: str, passes_all: bool) -> None:
        self._host, _, self._port = target.rpartition(":")
        self._refuses = not passes_all
        self.opened, self.came = asyncio.Event(), asyncio.Event()
        self._passing: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._passing.add(asyncio.ensure_future(self._accept(reader, writer)))

    async def ended(self) -> None:
        self.opened.set()
        await asyncio.sleep(0.01)  # what was accepted just now is seen
        await asyncio.gather(*self._passing)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        refused, self._refuses = self._refuses, False
        self.came.set()
        await self.opened.wait()
        if refused:
            writer.transport.abort()
            return
        back, forth = await asyncio.open_connection(self._host, int(self._port))
        await asyncio.gather(copy(reader, forth), copy(back, writer))


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


@asynccontextmanager
async def gated(protocol: str, folder: Path, *, passes_all: bool) -> AsyncIterator[tuple[Gate, Transport, str]]:
    """A callee behind a gate, over TLS, so that there is a handshake that can last."""
    authority = Authority(folder)
    mine, its = (MutualTls(Certificates(*authority.issue(name), authority.ca)) for name in ("order", "probe"))
    async with serving(protocol, "127.0.0.1:0", its) as behind:
        gate = Gate(behind, passes_all)
        listener = await asyncio.start_server(gate.accept, "127.0.0.1", 0)
        address = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        transport = KINDS[protocol](lambda: [address], tls=mine, service="probe")
        try:
            yield gate, transport, address
        finally:
            listener.close()  # first: gRPC connects again by itself
            await transport.close(0)
            await gate.ended()


async def test_the_end_of_an_attempt_from_before_the_call_is_no_answer(protocol: str, tmp_path: Path) -> None:
    async with gated(protocol, tmp_path, passes_all=False) as (gate, transport, address):
        transport.warm(address)
        await gate.came.wait()
        call = asyncio.ensure_future(called(transport).Unary(ASK))
        await asyncio.sleep(0)
        gate.opened.set()
        await call


async def test_a_callee_that_is_slow_to_greet_is_waited_for(protocol: str, tmp_path: Path) -> None:
    async with gated(protocol, tmp_path, passes_all=True) as (gate, transport, _):
        call = asyncio.ensure_future(called(transport).Unary(ASK))
        await gate.came.wait()
        await asyncio.sleep(CONNECT_TIMEOUT / 2)
        gate.opened.set()
        await call


async def test_an_attempt_that_goes_on_for_long_is_the_end_of_it(protocol: str, tmp_path: Path) -> None:
    async with gated(protocol, tmp_path, passes_all=True) as (_, transport, _address), asyncio.timeout(30):
        await refusal(called(transport).Unary(ASK, timeout=10))
