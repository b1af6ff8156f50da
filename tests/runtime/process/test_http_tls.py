"""TLS at an HTTP port: what is agreed on, certificates replaced while it serves, and files that are wrong."""

import asyncio
import shutil
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509

from souk.kernel.errors import ConfigurationError
from souk.runtime.process.http.limits import HttpLimits
from souk.runtime.process.http.server import serving
from souk.runtime.process.http.tls import ServerCertificate, ServerTls
from souk.runtime.process.sockets import listen
from souk.testing.certificates import Authority
from souk.testing.processes import system

PATIENCE = 30.0


async def application(scope: Any, receive: Any, send: Any) -> None:
    body = f"{scope['scheme']} {scope['http_version']}".encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def trusting(ca: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca)


def files_of(authority: Authority, folder: Path, name: str = "localhost") -> ServerCertificate:
    """Issues a certificate, and puts it where the server reads it."""
    cert, key = authority.issue(name)
    found = ServerCertificate(folder / "served.pem", folder / "served-key.pem")
    shutil.copy(key, found.key)
    shutil.copy(cert, found.cert)
    return found


async def shown(port: int, ca: Path, alpn: str = "http/1.1") -> tuple[int, str | None]:
    """Connects; returns the serial number of the certificate, and the protocol that was agreed on."""
    context = trusting(ca)
    context.set_alpn_protocols([alpn])
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
    octets = tls.getpeercert(binary_form=True)
    assert octets is not None
    writer.close()
    return x509.load_der_x509_certificate(octets).serial_number, tls.selected_alpn_protocol()


@pytest.mark.parametrize(("http2", "version"), [(False, "1.1"), (True, "2")])
async def test_both_versions_are_spoken_over_tls(tmp_path: Path, http2: bool, version: str) -> None:
    authority, listener = Authority(tmp_path), listen("127.0.0.1", 0)
    tls = ServerTls(files_of(authority, tmp_path))
    async with (
        serving(application, listener, 1.0, tls=tls),
        httpx.AsyncClient(verify=trusting(authority.ca), http2=http2) as client,
    ):
        for _ in range(2):
            answer = await client.get(f"https://127.0.0.1:{listener.getsockname()[1]}/")
            assert answer.text == f"https {version}"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_an_old_version_of_tls_is_refused(tmp_path: Path) -> None:
    authority, listener = Authority(tmp_path), listen("127.0.0.1", 0)
    old = trusting(authority.ca)
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    async with serving(application, listener, 1.0, tls=ServerTls(files_of(authority, tmp_path))):
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await asyncio.open_connection("127.0.0.1", listener.getsockname()[1], ssl=old)


async def test_a_new_certificate_is_shown_to_new_connections_and_a_wrong_one_is_not(tmp_path: Path) -> None:
    authority, listener = Authority(tmp_path), listen("127.0.0.1", 0)
    tls = ServerTls(files_of(authority, tmp_path))
    port, eager = listener.getsockname()[1], HttpLimits(idle=0.2)  # looks after its files as often as after its clients
    async with serving(application, listener, 1.0, limits=eager, tls=tls):
        first, protocol = await shown(port, authority.ca, "h2")
        assert protocol == "h2"
        (tmp_path / "served.pem").write_text("no certificate")
        await asyncio.sleep(4 * eager.sweep)
        assert (await shown(port, authority.ca))[0] == first
        files_of(authority, tmp_path)
        async with asyncio.timeout(PATIENCE):
            while (await shown(port, authority.ca))[0] == first:
                await asyncio.sleep(eager.sweep)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda files: files.key.unlink(), "served-key.pem: no such file or directory"),
        (lambda files: files.cert.write_text("x"), "the files hold no certificate and no key as PEM"),
        (lambda files: shutil.copy(files.cert.with_name("other-key.pem"), files.key), "belongs to another certificate"),
    ],
)
def test_files_that_cannot_be_used_are_said_in_one_line(tmp_path: Path, spoil: Any, says: str) -> None:
    authority = Authority(tmp_path)
    authority.issue("other")
    files = files_of(authority, tmp_path)
    spoil(files)
    with pytest.raises(ConfigurationError, match=says):
        ServerTls(files)


async def test_a_system_serves_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = files_of(authority, tmp_path)
    settings = {"SOUK_HTTP_CERT": str(files.cert), "SOUK_HTTP_KEY": str(files.key)}
    async with system(tmp_path / "data", settings=settings) as running:
        assert running.address.startswith("https://127.0.0.1:")
        async with httpx.AsyncClient(verify=trusting(authority.ca), http2=True) as client:
            answer = await client.get(f"{running.address}/healthz")
        assert (answer.status_code, answer.http_version) == (200, "HTTP/2")
        assert answer.headers["strict-transport-security"]
