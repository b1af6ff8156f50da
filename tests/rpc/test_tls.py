"""Mutual TLS between services: who is called shows that he is the one, and who calls that he belongs to the system."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

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

ASK = pb.Ask(what="echo")


def certificates(authority: Authority, name: str) -> Certificates:
    return Certificates(*authority.issue(name), authority.ca)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@asynccontextmanager
async def serving(protocol: str, tls: MutualTls | None) -> AsyncIterator[str]:
    dispatcher = Dispatcher(tokens("probe"))
    dispatcher.add(Probe(), pb.DESCRIPTOR.services_by_name["Probe"])
    server: Any = await (serve_connect(dispatcher, tls=tls) if protocol == "connect" else serve(dispatcher, tls=tls))
    yield server.address
    await server.stop(0)


async def ask(protocol: str, address: str, tls: MutualTls | None) -> pb.Answer:
    kind: Callable[..., Any] = ConnectTransport if protocol == "connect" else GrpcTransport
    transport = kind(lambda: [address], tls=tls, service="probe")
    try:
        return await ProbeStub(Channel(transport, tokens=tokens("test"))).Unary(ASK, timeout=5)
    finally:
        await transport.close()


both = pytest.mark.parametrize("protocol", ["connect", "grpc"])


@both
async def test_services_that_belong_together_call_each_other(protocol: str, authority: Authority) -> None:
    async with serving(protocol, MutualTls(certificates(authority, "probe"))) as address:
        assert await ask(protocol, address, MutualTls(certificates(authority, "order")))


@both
@pytest.mark.parametrize("impostor", ["another service", "another authority", "no TLS"])
async def test_whoever_cannot_show_that_he_is_the_service_is_sent_nothing(
    protocol: str, impostor: str, authority: Authority, tmp_path: Path
) -> None:
    shown = {
        "another service": lambda: MutualTls(certificates(authority, "product")),
        "another authority": lambda: MutualTls(certificates(Authority(tmp_path, "other"), "probe")),
        "no TLS": lambda: None,
    }[impostor]()
    async with serving(protocol, shown) as address:
        with pytest.raises(CallFailed) as failed:
            await ask(protocol, address, MutualTls(certificates(authority, "order")))
        assert failed.value.outcome is Outcome.NOT_SENT


@both
@pytest.mark.parametrize("stranger", ["another authority", "no TLS"])
async def test_a_stranger_is_not_answered(protocol: str, stranger: str, authority: Authority, tmp_path: Path) -> None:
    other = None
    if stranger == "another authority":
        own = certificates(Authority(tmp_path, "other"), "order")
        other = MutualTls(Certificates(own.cert, own.key, authority.ca))
    async with serving(protocol, MutualTls(certificates(authority, "probe"))) as address:
        with pytest.raises(CallFailed):
            await ask(protocol, address, other)


async def shown(address: str, client: MutualTls) -> bytes:
    """The certificate that a server shows now."""
    host, _, port = address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=client.client(), server_hostname="probe")
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return bytes(found)


@both
async def test_certificates_that_change_are_read_again(protocol: str, authority: Authority) -> None:
    client = MutualTls(certificates(authority, "order"))
    files = certificates(authority, "probe")
    async with serving(protocol, MutualTls(files)) as address:
        before = await shown(address, client)
        authority.issue("probe")  # into the same files
        async with asyncio.timeout(120):
            while await shown(address, client) == before:
                await asyncio.sleep(0.1)
        assert await shown(address, client) == ssl.PEM_cert_to_DER_cert(files.cert.read_text())
        assert await ask(protocol, address, client)


def test_no_authority_is_trusted_besides_the_installation_s(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(Authority(tmp_path, "machine").ca))  # what OpenSSL takes for the machine's
    cert, key = authority.issue("order")
    tls = MutualTls(Certificates(cert, key, authority.ca))
    for context in (tls.client(), tls.server()):
        assert [dict(map(lambda pair: pair[0], one["subject"])) for one in context.get_ca_certs()] == [
            {"commonName": "tests ca"}
        ]
        assert context.verify_mode is ssl.CERT_REQUIRED
    assert tls.client().check_hostname
