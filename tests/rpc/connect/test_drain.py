"""How a server leaves: nobody who calls in the meantime notices."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from souk.kernel.clock import SystemClock
from souk.kernel.errors import ConfigurationError, Outcome
from souk.rpc.call import Call, CallFailed
from souk.rpc.client.channel import Channel
from souk.rpc.client.outgoing import method_of
from souk.rpc.connect.server import ConnectServer, serve_connect
from souk.rpc.connect.transport import ConnectTransport
from souk.rpc.server.dispatcher import Dispatcher
from souk.testing.probe import probe_pb2 as pb
from souk.testing.probe.probe_pb2_grpc import ProbeStub
from souk.testing.raw_peer import OK, answering, raw_server
from souk.testing.rpc.probe import Probe

ECHO = pb.Ask(what="echo")


class System:
    """Servers of one servicer, and a caller who knows those in `addresses`."""

    def __init__(self) -> None:
        self.servicer = Probe()
        self.servers: list[ConnectServer] = []
        self.addresses: list[str] = []
        self.transport = ConnectTransport(lambda: self.addresses)
        self.stub = ProbeStub(Channel(self.transport))

    async def serve(self) -> ConnectServer:
        dispatcher = Dispatcher(None)
        dispatcher.add(self.servicer, pb.DESCRIPTOR.services_by_name["Probe"])
        server = await serve_connect(dispatcher)
        self.servers.append(server)
        self.addresses.append(server.address)
        return server


@pytest.fixture
async def system() -> AsyncIterator[System]:
    made = System()
    yield made
    await made.transport.close()
    for server in made.servers:
        await server.stop()


async def test_a_running_request_is_answered(system: System) -> None:
    server = await system.serve()
    call = system.stub.Unary(pb.Ask(what="wait-for", notes=["go"]))
    await system.stub.Unary(pb.Ask(what="happen", notes=["began"]))
    stopping = asyncio.create_task(server.stop(10))
    await asyncio.sleep(0.05)
    assert not stopping.done()
    system.servicer.events["go"].set()
    await call
    await asyncio.wait_for(stopping, 30)
    assert server.connections == set()


async def test_last_calls_are_served(system: System) -> None:
    server = await system.serve()
    await system.stub.Unary(ECHO)
    stopping = asyncio.create_task(server.stop(10))
    while not server.draining:
        await asyncio.sleep(0)
    await system.stub.Unary(ECHO)  # over the connection that it has
    await system.stub.Unary(ECHO)  # over another, for that one ended with its answer
    await asyncio.wait_for(stopping, 30)
    with pytest.raises(CallFailed) as raised:
        await system.stub.Unary(ECHO)
    assert raised.value.outcome is Outcome.NOT_SENT


async def test_connections_that_wait_are_told(system: System) -> None:
    server = await system.serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
    await reader.readuntil(b"}")
    stopping = asyncio.create_task(server.stop(10))
    assert await reader.read() == b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    writer.close()
    await asyncio.wait_for(stopping, 30)


async def test_no_call_fails_while_servers_are_replaced(system: System) -> None:
    await system.serve()
    await system.serve()
    going, made = True, 0

    async def load() -> None:
        nonlocal made
        while going:
            await system.stub.Unary(ECHO)
            made += 1

    callers = [asyncio.create_task(load()) for _ in range(8)]
    for _ in range(6):
        await system.serve()
        system.addresses.pop(0)
        await system.servers[len(system.servers) - 3].stop(5)
    going = False
    await asyncio.gather(*callers)
    assert made > 100


async def test_a_goodbye_that_meets_a_request_costs_nothing(system: System) -> None:
    """The request is in the kernel already when the server says that it has read none."""
    server = await system.serve()
    await system.stub.Unary(ECHO)
    (connection,) = server.connections
    call = system.stub.Unary(pb.Ask(what="happen", notes=["happened"]))
    connection.leave()
    await call
    assert system.servicer.events["happened"].is_set()
    assert connection not in server.connections


async def test_without_grace_running_requests_are_ended(system: System) -> None:
    server = await system.serve()
    call = system.stub.Unary(pb.Ask(what="hang", key="k"))
    await system.servicer.events["began k"].wait()
    await server.stop()
    with pytest.raises(CallFailed) as raised:
        await call
    assert (raised.value.code(), raised.value.outcome) == (grpc.StatusCode.UNAVAILABLE, Outcome.UNKNOWN)
    assert system.servicer.events["cancelled k"].is_set()
    await server.wait_closed()
    await server.stop()


async def test_a_port_that_is_taken(system: System) -> None:
    server = await system.serve()
    with pytest.raises(ConfigurationError, match="is the port taken"):
        await serve_connect(Dispatcher(None), server.address)


async def test_who_does_not_speak_connect_is_called_otherwise() -> None:
    """The balancer's address is the other transport's; an instance says where it speaks Connect."""
    async with raw_server(answering(OK)) as server:
        where = {"instance-1": server.address, "instance-2": ""}
        other = ConnectTransport(lambda: ["instance-2"], connect_address=lambda _: server.address)
        addresses = ["instance-1"]
        transport = ConnectTransport(lambda: addresses, streams=other, connect_address=where.__getitem__)
        stub = ProbeStub(Channel(transport))
        await stub.Unary(ECHO)
        addresses[:] = ["instance-2"]
        await stub.Unary(ECHO)
        await transport.close()
        with pytest.raises(CallFailed) as raised:
            await stub.Unary(ECHO)
        assert raised.value.outcome is Outcome.NOT_SENT


async def test_an_instance_that_is_known_to_the_balancer_alone(system: System) -> None:
    server = await system.serve()
    system.addresses.clear()
    deadline = SystemClock().monotonic() + 5
    call = Call(method_of("/souktest.v1.Probe/Unary"), ECHO.SerializeToString(), (), deadline, instance=server.address)
    for _ in range(2):
        await system.transport.unary(call)
    assert len(server.connections) == 1


async def test_streams_need_another_transport(system: System) -> None:
    await system.serve()
    with pytest.raises(CallFailed) as raised:
        _ = [answer async for answer in system.stub.Down(ECHO)]
    assert (raised.value.code(), raised.value.outcome) == (grpc.StatusCode.UNIMPLEMENTED, Outcome.NOT_SENT)


async def test_ready(system: System) -> None:
    waiting = asyncio.create_task(system.transport.ready())
    await asyncio.sleep(0)
    assert not waiting.done()
    await system.serve()
    await asyncio.wait_for(waiting, 30)
