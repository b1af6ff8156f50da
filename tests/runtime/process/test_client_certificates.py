"""Certificates of clients at the gateway's TLS port: none, right ones, foreign ones, and expired ones."""

import asyncio
import base64
import contextlib
import datetime
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from souk.kernel.errors import ConfigurationError
from souk.runtime.config.environment import read
from souk.runtime.process.http.limits import HttpLimits
from souk.runtime.process.http.server import serving
from souk.runtime.process.http.tls import ServerCertificate, ServerTls
from souk.runtime.process.sockets import listen
from souk.testing.certificates import Authority
from souk.testing.processes import system

PATIENCE = 60.0
REFUSALS = (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError)


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what the scope says of the client's certificate."""
    body = json.dumps((scope["extensions"].get("tls"), scope["http_version"])).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


class Site:
    """An authority that both sides trust, and what a server of it says of clients."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.authority = folder, Authority(folder)
        self.port = 0

    def client(self, files: "tuple[Path, Path] | None", *, http2: bool = False) -> httpx.AsyncClient:
        context = ssl.create_default_context(cafile=self.authority.ca)
        if files is not None:
            context.load_cert_chain(*files)
        return httpx.AsyncClient(
            verify=context, http2=http2, base_url=f"https://127.0.0.1:{self.port}", timeout=PATIENCE
        )

    async def says(self, files: "tuple[Path, Path] | None", *, http2: bool = False) -> Any:
        async with self.client(files, http2=http2) as client:
            return (await client.get("/")).json()

    @asynccontextmanager
    async def serving(self, *, required: bool = False, limits: HttpLimits = HttpLimits()) -> AsyncIterator[None]:  # noqa: B008
        certificate = ServerCertificate(*self.authority.issue("server"), self.authority.ca, required)
        listener = listen("127.0.0.1", 0)
        self.port = listener.getsockname()[1]
        async with serving(application, listener, 1.0, tls=ServerTls(certificate), limits=limits):
            yield


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def foreign(tmp_path: Path) -> Authority:
    (tmp_path / "foreign").mkdir()
    return Authority(tmp_path / "foreign")


@pytest.mark.parametrize("http2", [False, True])
async def test_a_right_certificate_is_named(site: Site, http2: bool) -> None:
    files = site.authority.issue("robot")
    async with site.serving():
        tls, version = await site.says(files, http2=http2)
    assert version == ("2" if http2 else "1.1")
    assert tls["client_cert_name"] == "CN=robot"
    sent = x509.load_pem_x509_certificate(tls["client_cert_chain"][0].encode())
    assert sent == x509.load_pem_x509_certificate(files[0].read_bytes())


@pytest.mark.parametrize("http2", [False, True])
async def test_without_a_certificate_one_is_let_in_unless_it_is_required(site: Site, http2: bool) -> None:
    async with site.serving():
        assert (await site.says(None, http2=http2))[0] is None
    async with site.serving(required=True):
        with pytest.raises(REFUSALS):
            await site.says(None, http2=http2)
        assert (await site.says(site.authority.issue("robot"), http2=http2))[0]["client_cert_name"] == "CN=robot"


@pytest.mark.parametrize("required", [False, True])
async def test_the_certificate_of_a_foreign_authority_is_refused(
    site: Site, foreign: Authority, required: bool
) -> None:
    async with site.serving(required=required):
        with pytest.raises(REFUSALS):
            await site.says(foreign.issue("robot"))


@pytest.mark.parametrize("days", [-2, 2], ids=["expired", "not yet valid"])
async def test_a_certificate_out_of_its_time_is_refused(site: Site, days: int) -> None:
    async with site.serving():
        with pytest.raises(REFUSALS):
            await site.says(site.authority.issue("robot", moved=datetime.timedelta(days=days)))


async def test_a_new_authority_is_trusted_from_the_next_connection_on(site: Site) -> None:
    foreign = Authority(site.folder, "new")
    files = foreign.issue("robot")
    eager = HttpLimits(idle=0.2)
    async with site.serving(limits=eager):
        both = site.authority.ca.read_bytes() + foreign.ca.read_bytes()
        with pytest.raises(REFUSALS):
            await site.says(files)
        site.authority.ca.with_suffix(".both").write_bytes(both)
        site.authority.ca.with_suffix(".both").replace(site.authority.ca)
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    tls, _ = await site.says(files)
                    break
                except REFUSALS:
                    await asyncio.sleep(eager.sweep)
    assert tls["client_cert_name"] == "CN=robot"


@pytest.mark.parametrize("content", ["", "no certificate"])
def test_authorities_that_cannot_be_used_are_said_in_one_line(site: Site, content: str) -> None:
    wrong = site.folder / "wrong.pem"
    wrong.write_text(content)
    with pytest.raises(ConfigurationError, match=r"wrong\.pem cannot be used: it holds no certificate as PEM"):
        ServerTls(ServerCertificate(*site.authority.issue("server"), wrong))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"SOUK_HTTP_CLIENT_CA": "ca.pem"}, "SOUK_HTTP_CLIENT_CA needs TLS"),
        ({"SOUK_HTTP_CLIENT_CERT": "required"}, "needs SOUK_HTTP_CLIENT_CA"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        _ = read(settings).http.certificate
    with pytest.raises(ConfigurationError, match="must be one of optional, required"):
        read({"SOUK_HTTP_CLIENT_CERT": "maybe"})


async def test_an_upstream_is_told_the_certificate_and_no_client_can_forge_it(site: Site, tmp_path: Path) -> None:
    received: list[dict[str, list[str]]] = []

    async def upstream(scope: Any, receive: Any, send: Any) -> None:
        found: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            found.setdefault(name.decode(), []).append(value.decode())
        received.append(found)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    files = site.authority.issue("robot")
    cert, key = site.authority.issue("localhost")
    behind = listen("127.0.0.1", 0)
    routes = tmp_path / "routes.yaml"
    routes.write_text(f"routes: {{/up: 'http://127.0.0.1:{behind.getsockname()[1]}'}}\n")
    settings = {
        "SOUK_HTTP_CERT": str(cert),
        "SOUK_HTTP_KEY": str(key),
        "SOUK_HTTP_CLIENT_CA": str(site.authority.ca),
        "SOUK_ROUTES": str(routes),
        "SOUK_LOG_FILE": str(tmp_path / "souk.log"),
    }
    forged = {"Client-Cert": ":AAAA:", "Client-Cert-Chain": ":AAAA:"}
    async with serving(upstream, behind, 1.0), system(tmp_path / "data", settings=settings) as running:
        site.port = int(running.address.rpartition(":")[2])
        for client in (site.client(files), site.client(files, http2=True), site.client(None)):
            async with client:
                assert (await client.get("/up", headers=forged)).status_code == 200
    lines = [json.loads(line) for line in (tmp_path / "souk.log").read_text().splitlines() if '"/up"' in line]
    assert [line.get("certificate") for line in lines] == ["CN=robot", "CN=robot", None]
    octets = x509.load_pem_x509_certificate(files[0].read_bytes()).public_bytes(Encoding.DER)
    expected = [f":{base64.b64encode(octets).decode()}:"]
    assert [one.get("client-cert") for one in received] == [expected, expected, None]
    assert not any("client-cert-chain" in one for one in received)


async def test_a_certificate_is_a_caller_of_contracts_and_of_rules_of_the_file(site: Site, tmp_path: Path) -> None:
    cert, key = site.authority.issue("localhost")
    routes, callers = tmp_path / "routes.yaml", tmp_path / "callers.toml"
    with listen("127.0.0.1", 0) as behind:
        where = f"http://127.0.0.1:{behind.getsockname()[1]}"
        rules = [
            f"  - {{matches: [{{path: /{one}}}], scopes: [{one}], backendRefs: [up]}}" for one in ("may", "mayNot")
        ]
        routes.write_text("\n".join((f"upstreams: {{up: '{where}'}}", "routes:", "- rules:", *rules)) + "\n")
        callers.write_text('[machine]\nsan_dns = "robot"\nscopes = ["order:read", "may"]\nuser = "U-9"\n')
        settings = {
            "SOUK_HTTP_CERT": str(cert),
            "SOUK_HTTP_KEY": str(key),
            "SOUK_HTTP_CLIENT_CA": str(site.authority.ca),
            "SOUK_HTTP_CLIENT_CALLERS": str(callers),
            "SOUK_ROUTES": str(routes),
            "SOUK_LOG_FILE": str(tmp_path / "souk.log"),
        }
        files, stranger = site.authority.issue("robot"), site.authority.issue("stranger")
        async with serving(application, behind, 1.0), system(tmp_path / "data", settings=settings) as running:
            site.port = int(running.address.rpartition(":")[2])
            for http2 in (False, True):
                async with site.client(files, http2=http2) as client:
                    asked = {
                        path: (await client.get(path)).status_code for path in ("/may", "/mayNot", "/api/v1/orders")
                    }
                    assert asked == {"/may": 200, "/mayNot": 403, "/api/v1/orders": 200}
                    assert (await client.post("/api/v1/orders", json={})).status_code == 403
            async with site.client(stranger) as client:
                assert [(await client.get(path)).status_code for path in ("/may", "/api/v1/orders")] == [401, 401]
    audited = [json.loads(line) for line in (tmp_path / "souk.log").read_text().splitlines() if '"audit"' in line]
    refused = [(one["why"], one["caller"]) for one in audited]
    assert refused == [*[("scope", "U-9")] * 4, *[("client certificate", "certificate CN=stranger")] * 2]


async def test_callers_are_read_again_while_the_gateway_runs(site: Site, tmp_path: Path) -> None:
    """On one connection: a new caller is let in, a wrong file changes nothing, and who is taken out is refused."""
    cert, key = site.authority.issue("localhost")
    callers, log = tmp_path / "callers.toml", tmp_path / "souk.log"
    settings = {
        "SOUK_HTTP_CERT": str(cert),
        "SOUK_HTTP_KEY": str(key),
        "SOUK_HTTP_CLIENT_CA": str(site.authority.ca),
        "SOUK_HTTP_CLIENT_CALLERS": str(callers),
        "SOUK_LOG_FILE": str(log),
    }
    robot = '[machine]\nsan_dns = "robot"\nscopes = ["order:read"]\nuser = "U-9"\n'
    callers.write_text("")
    async with (
        system(tmp_path / "data", settings=settings) as running,
        contextlib.AsyncExitStack() as stack,
    ):
        site.port = int(running.address.rpartition(":")[2])
        client = await stack.enter_async_context(site.client(site.authority.issue("robot")))

        async def until(status: int) -> None:
            async with asyncio.timeout(PATIENCE):
                while (await client.get("/api/v1/orders")).status_code != status:
                    await asyncio.sleep(0.05)  # the file system signals nothing

        assert (await client.get("/api/v1/orders")).status_code == 401
        callers.write_text(robot)
        await until(200)
        callers.write_text(robot + "scope = 5\n")
        async with asyncio.timeout(PATIENCE):
            while "the old ones stay" not in log.read_text():
                await asyncio.sleep(0.05)
        assert (await client.get("/api/v1/orders")).status_code == 200
        callers.write_text(robot.replace("order:read", "user:read"))
        await until(403)
        callers.write_text("")
        await until(401)
    assert "machine.scope is unknown" in log.read_text()
