"""What a process is asked for so that clocks can be compared."""

from pathlib import Path

from souk.rpc.client.channel import Channel
from souk.rpc.grpc.server import serve
from souk.rpc.grpc.transport import GrpcTransport
from souk.rpc.server.dispatcher import Dispatcher
from souk.testing.probe import probe_pb2 as pb
from souk.testing.probe.probe_pb2_grpc import ProbeStub
from souk.testing.rpc.probe import Probe, tokens


async def test_a_question_over_grpc_that_reaches_nobody_delays_no_call(tmp_path: Path) -> None:
    dispatcher = Dispatcher(tokens("probe"))
    dispatcher.add(Probe(), pb.DESCRIPTOR.services_by_name["Probe"])
    address = f"unix:{tmp_path}/probe"
    transport = GrpcTransport(lambda: [address])
    for _ in range(3):  # with each that fails gRPC waits longer before it connects again
        assert await transport.date(address, 5.0) == ""
    server = await serve(dispatcher, address)
    await server.set_healthy(True)
    try:
        await ProbeStub(Channel(transport, tokens=tokens("test"))).Unary(pb.Ask(what="echo"))
        assert await transport.date(address, 5.0)
    finally:
        await transport.close()
        await server.stop(0)
