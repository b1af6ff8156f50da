"""One suite of calls: in process, over gRPC and Connect, there and in a separate process; grpc.aio is the reference."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import grpc.aio
import pytest

from souk.rpc.client.channel import Channel
from souk.rpc.connect.server import serve_connect
from souk.rpc.connect.transport import ConnectTransport
from souk.rpc.grpc.server import serve
from souk.rpc.grpc.transport import LIMITS, GrpcTransport
from souk.rpc.in_process.transport import InProcessTransport
from souk.rpc.server.dispatcher import Dispatcher
from souk.testing.probe.probe_pb2 import DESCRIPTOR
from souk.testing.probe.probe_pb2_grpc import ProbeStub, add_ProbeServicer_to_server
from souk.testing.rpc.end_suite import EndSuite, HandlerSuite, RefusalSuite
from souk.testing.rpc.probe import Probe, tokens
from souk.testing.rpc.stream_suite import FlowSuite, HeldSuite, ShapeSuite, StreamEndSuite
from souk.testing.rpc.suite import MessageSuite, MetadataSuite, StatusSuite

if TYPE_CHECKING:
    from souk.testing.probe.probe_pb2_grpc import ProbeAsyncStub


class Calls(MessageSuite, StatusSuite, MetadataSuite, EndSuite, HandlerSuite, ShapeSuite, StreamEndSuite, FlowSuite):
    pass


def dispatcher() -> Dispatcher:
    made = Dispatcher(tokens("probe"))
    made.add(Probe(), DESCRIPTOR.services_by_name["Probe"])
    return made


@pytest.fixture(scope="module")
def addresses() -> Iterator[tuple[str, str]]:
    """The addresses of another process, for gRPC and for Connect."""
    command = [sys.executable, "-m", "souk.testing.rpc.probe"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        grpc_address, connect_address = process.stdout.readline().split()
        yield grpc_address, connect_address
        process.communicate(timeout=20)
    assert process.returncode == 0


class TestInProcess(Calls, RefusalSuite, HeldSuite):
    @pytest.fixture
    async def probe(self) -> AsyncIterator["ProbeAsyncStub"]:
        transport = InProcessTransport(dispatcher())
        yield ProbeStub(Channel(transport, tokens=tokens("test")))
        await transport.close()


class TestLoopback(Calls, RefusalSuite, HeldSuite):
    @pytest.fixture
    async def probe(self) -> AsyncIterator["ProbeAsyncStub"]:
        server = await serve(dispatcher())
        transport = GrpcTransport(lambda: [server.address])
        yield ProbeStub(Channel(transport, tokens=tokens("test")))
        await transport.close()
        await server.stop()


class TestSeparateProcess(Calls, RefusalSuite, HeldSuite):
    @pytest.fixture
    async def probe(self, addresses: tuple[str, str]) -> AsyncIterator["ProbeAsyncStub"]:
        transport = GrpcTransport(lambda: [addresses[0]])
        yield ProbeStub(Channel(transport, tokens=tokens("test")))
        await transport.close()


class TestConnect(Calls, RefusalSuite, HeldSuite):
    @pytest.fixture
    async def probe(self) -> AsyncIterator["ProbeAsyncStub"]:
        made = dispatcher()
        server, streams = await serve_connect(made), await serve(made)
        transport = ConnectTransport(lambda: [server.address], streams=GrpcTransport(lambda: [streams.address]))
        yield ProbeStub(Channel(transport, tokens=tokens("test")))
        await transport.close()
        await server.stop()
        await streams.stop()


class TestConnectSeparateProcess(Calls, RefusalSuite, HeldSuite):
    @pytest.fixture
    async def probe(self, addresses: tuple[str, str]) -> AsyncIterator["ProbeAsyncStub"]:
        transport = ConnectTransport(lambda: [addresses[1]], streams=GrpcTransport(lambda: [addresses[0]]))
        yield ProbeStub(Channel(transport, tokens=tokens("test")))
        await transport.close()


class TestSockets(Calls, RefusalSuite, HeldSuite):
    """What a system on one machine does: Connect, and gRPC for streams, at unix sockets."""

    @pytest.fixture
    async def probe(self) -> AsyncIterator["ProbeAsyncStub"]:
        made = dispatcher()
        with TemporaryDirectory() as folder:
            server = await serve_connect(made, f"unix:{folder}/rpc.sock")
            streams = await serve(made, f"unix:{folder}/grpc 100%.sock")
            transport = ConnectTransport(lambda: [server.address], streams=GrpcTransport(lambda: [streams.address]))
            yield ProbeStub(Channel(transport, tokens=tokens("test")))
            await transport.close()
            await server.stop()
            await streams.stop()


class TestGrpcSocket(Calls, RefusalSuite, HeldSuite):
    @pytest.fixture
    async def probe(self) -> AsyncIterator["ProbeAsyncStub"]:
        with TemporaryDirectory() as folder:
            server = await serve(dispatcher(), f"unix:{folder}/grpc.sock")
            transport = GrpcTransport(lambda: [server.address])
            yield ProbeStub(Channel(transport, tokens=tokens("test")))
            await transport.close()
            await server.stop()


class TestPlainGrpc(Calls):
    @pytest.fixture
    async def probe(self) -> AsyncIterator["ProbeAsyncStub"]:
        server = grpc.aio.server(options=[*LIMITS, ("grpc.so_reuseport", 0)])
        add_ProbeServicer_to_server(Probe(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=LIMITS) as channel:
            yield ProbeStub(channel)
        await server.stop(None)
