"""Certificate files that are missing, or do not fit together, while a process runs: and what works again afterwards."""

import asyncio
import gc
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from souk.kernel.errors import Outcome
from souk.rpc.call import CallFailed
from souk.rpc.client.channel import Channel
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
CHECKED = 1.1
"""Seconds after which files are looked at again."""


def certificates(authority: Authority, name: str) -> Certificates:
    return Certificates(*authority.issue(name), authority.ca)


def missing(files: Certificates, authority: Authority) -> None:
    files.cert.unlink()


def apart(files: Certificates, authority: Authority) -> None:
    """The certificate is new, and the key is still the old one."""
    key = files.key.read_bytes()
    authority.issue(files.cert.stem)
    files.key.write_bytes(key)


both = pytest.mark.parametrize("protocol", ["connect", "grpc"])
broken = pytest.mark.parametrize("spoil", [missing, apart])


@dataclass
class Caller:
    """A process that calls the probe over TLS, and its files."""

    authority: Authority
    protocol: str
    files: Certificates
    address: str
    transport: Any
    complaints: list[dict[str, Any]] = field(default_factory=list)

    @property
    def stub(self) -> "ProbeAsyncStub":
        return ProbeStub(Channel(self.transport, tokens=tokens("test")))

    async def spoilt(self, spoil: Callable[[Certificates, Authority], None]) -> None:
        spoil(self.files, self.authority)
        await asyncio.sleep(CHECKED)

    async def mended(self) -> None:
        self.authority.issue(self.files.cert.stem)
        await asyncio.sleep(CHECKED)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def caller(protocol: str, authority: Authority) -> AsyncIterator[Caller]:
    tls, dispatcher = MutualTls(certificates(authority, "probe")), Dispatcher(tokens("probe"))
    dispatcher.add(Probe(), pb.DESCRIPTOR.services_by_name["Probe"])
    server: Any = await (serve_connect(dispatcher, tls=tls) if protocol == "connect" else serve(dispatcher, tls=tls))
    kind: Callable[..., Any] = ConnectTransport if protocol == "connect" else GrpcTransport
    files = certificates(authority, "order")
    transport = kind(lambda: [server.address], tls=MutualTls(files), service="probe")
    caller = Caller(authority, protocol, files, server.address, transport)

    def complain(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "future" in context or "task" in context:
            caller.complaints.append(context)

    asyncio.get_running_loop().set_exception_handler(complain)
    yield caller
    await transport.close()
    await server.stop(0)


async def refusal(call: Awaitable[object]) -> CallFailed:
    async with asyncio.timeout(30):
        with pytest.raises(CallFailed) as raised:
            await call
    return raised.value


def not_connected(error: CallFailed) -> bool:
    return (error.code(), error.outcome) == (grpc.StatusCode.UNAVAILABLE, Outcome.NOT_SENT)


@both
@broken
async def test_a_call_is_not_sent(
    protocol: str,
    spoil: Callable[[Certificates, Authority], None],
    caller: Caller,
    written: io.StringIO,
) -> None:
    await caller.spoilt(spoil)
    for _ in range(3):
        assert not_connected(await refusal(caller.stub.Unary(ASK, timeout=10)))
        assert all(map(not_connected, await asyncio.gather(*(refusal(caller.stub.Unary(ASK)) for _ in range(3)))))
        await asyncio.sleep(0.3)
    gc.collect()
    assert caller.complaints == []
    told = [line for line in written.getvalue().splitlines() if "certificates" in line]
    assert len(told) == 1
    assert '"level":"warning"' in told[0]
    await caller.mended()
    assert await caller.stub.Unary(ASK, timeout=10)


@both
@broken
async def test_a_patient_call_waits_for_files_that_work(
    protocol: str, spoil: Callable[[Certificates, Authority], None], caller: Caller
) -> None:
    await caller.spoilt(spoil)
    call = asyncio.ensure_future(caller.stub.Unary(ASK, timeout=20, wait_for_ready=True))
    await asyncio.sleep(0.3)
    assert not call.done()
    await caller.mended()
    assert await call


@pytest.mark.parametrize("protocol", ["grpc"])
@broken
async def test_a_stream_is_not_sent(
    protocol: str, spoil: Callable[[Certificates, Authority], None], caller: Caller
) -> None:
    await caller.spoilt(spoil)
    down, up = caller.stub.Down(ASK, timeout=10), caller.stub.Up(iter([ASK]), timeout=10)
    assert not_connected(await refusal(down.read()))
    assert not_connected(await refusal(up))
    assert await down.code() is await up.code() is grpc.StatusCode.UNAVAILABLE
    del down, up
    gc.collect()
    assert caller.complaints == []


@both
@broken
async def test_what_is_done_beside_calls_does_not_fail(
    protocol: str, spoil: Callable[[Certificates, Authority], None], caller: Caller
) -> None:
    await caller.spoilt(spoil)
    caller.transport.warm(caller.address)
    assert await caller.transport.date(caller.address, 1.0) == ""
    ready = asyncio.ensure_future(caller.transport.ready())
    await asyncio.sleep(0.3)
    assert not ready.done()
    await caller.mended()
    await asyncio.wait_for(ready, 120)
    assert await caller.transport.date(caller.address, 1.0)


@pytest.mark.parametrize("protocol", ["grpc"])
@broken
async def test_a_connection_from_before_is_replaced_when_they_work_again(
    protocol: str, spoil: Callable[[Certificates, Authority], None], caller: Caller
) -> None:
    assert await caller.stub.Unary(ASK, timeout=10)
    await caller.spoilt(spoil)
    assert not_connected(await refusal(caller.stub.Unary(ASK, timeout=10)))
    await caller.mended()
    assert await caller.stub.Unary(ASK, timeout=10)


async def test_a_socket_of_this_machine_needs_none(authority: Authority, tmp_path: Path) -> None:
    dispatcher = Dispatcher(tokens("probe"))
    dispatcher.add(Probe(), pb.DESCRIPTOR.services_by_name["Probe"])
    server = await serve(dispatcher, f"unix:{tmp_path}/s")
    files = certificates(authority, "order")
    transport = GrpcTransport(lambda: [server.address], tls=MutualTls(files), service="probe")
    missing(files, authority)
    await asyncio.sleep(CHECKED)
    assert await ProbeStub(Channel(transport, tokens=tokens("test"))).Unary(ASK, timeout=5)
    await transport.close()
    await server.stop(0)
