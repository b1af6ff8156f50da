"""A server's certificates in the middle of a rotation: it goes on as before, and takes them when they are whole."""

import asyncio
import io
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from souk.kernel.errors import ConfigurationError
from souk.rpc.connect.server import FIRST, ConnectServer, serve_connect
from souk.rpc.server.dispatcher import Dispatcher
from souk.rpc.tls import Certificates, MutualTls
from souk.testing.certificates import Authority
from souk.testing.clocks import FakeClock
from souk.testing.rpc.probe import tokens

SWEPT = 2.5
"""Seconds within which the server has looked at its files twice, and swept."""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def files(authority: Authority) -> Certificates:
    return Certificates(*authority.issue("probe"), authority.ca)


@pytest.fixture
def client(authority: Authority) -> ssl.SSLContext:
    return MutualTls(Certificates(*authority.issue("order"), authority.ca)).client()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def server(files: Certificates, clock: FakeClock) -> AsyncIterator[ConnectServer]:
    server = await serve_connect(Dispatcher(tokens("probe")), clock=clock, tls=MutualTls(files))
    yield server
    await server.stop(0)


async def connect(server: ConnectServer, client: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", server.port, ssl=client, server_hostname="probe")


async def shown(server: ConnectServer, client: ssl.SSLContext) -> str:
    """The certificate that the server shows now."""
    _, writer = await connect(server, client)
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return ssl.DER_cert_to_PEM_cert(found)


def stale_key(files: Certificates, authority: Authority) -> bytes:
    """Issues a new certificate, and puts the old key beside it; returns the new key."""
    old = files.key.read_bytes()
    authority.issue("probe")
    new = files.key.read_bytes()
    files.key.write_bytes(old)
    return new


@pytest.mark.parametrize("how", ["missing", "apart"])
async def test_what_is_unfinished_is_tried_again(
    how: str,
    server: ConnectServer,
    client: ssl.SSLContext,
    files: Certificates,
    authority: Authority,
    written: io.StringIO,
) -> None:
    before = await shown(server, client)
    key = stale_key(files, authority)
    if how == "missing":
        files.key.unlink()
    await asyncio.sleep(SWEPT)
    assert await shown(server, client) == before
    told = [line for line in written.getvalue().splitlines() if "certificates" in line]
    assert len(told) == 1
    files.key.write_bytes(key)
    async with asyncio.timeout(120):
        while await shown(server, client) == before:
            await asyncio.sleep(0.1)
    assert await shown(server, client) == files.cert.read_text()


async def test_idle_connections_are_swept_meanwhile(
    server: ConnectServer, client: ssl.SSLContext, files: Certificates, clock: FakeClock
) -> None:
    reader, writer = await connect(server, client)
    files.key.unlink()
    await asyncio.sleep(SWEPT)
    clock.advance(FIRST + 1)
    assert (await asyncio.wait_for(reader.read(), 30)).startswith(b"HTTP/1.1 408 ")
    writer.close()


async def test_a_context_that_could_not_be_renewed_is_renewed_later(
    files: Certificates, authority: Authority, tmp_path: Path
) -> None:
    tls = MutualTls(files)
    context = tls.server()
    Authority(tmp_path).issue("probe")  # all three files anew
    await asyncio.sleep(1.1)
    assert tls.stamp
    away = files.key.rename(tmp_path / "away")
    with pytest.raises(ConfigurationError):
        tls.renew(context)
    away.rename(files.key)  # as it was: the files' stamp is the same
    tls.renew(context)
    assert len(context.get_ca_certs()) == 2
