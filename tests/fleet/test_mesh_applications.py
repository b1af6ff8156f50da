"""An application that has joined a fleet with a mesh: requests reach it through two sidecars, and in no other way."""

import asyncio
import json
import os
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import httpx
import psutil
import pytest

from souk.kernel.clock import SystemClock
from souk.mesh.identity.authority import CertificateAuthority
from souk.mesh.identity.lifetimes import Lifetimes
from souk.mesh.identity.spiffe import TRUST_DOMAIN, Workload, instance_name
from souk.mesh.identity.store import AuthorityStore
from souk.runtime.data.layout import DataLayout
from souk.testing.processes import run
from souk.testing.system import Process, until
from tests.examples.test_adopt_fastapi import adopted
from tests.fleet.conftest import Bazaar
from tests.market.api import log_in

pytestmark = [pytest.mark.full, pytest.mark.xdist_group("a fleet with a mesh")]
PATIENCE = 120.0
APPLICATION = """
import asyncio
import json

go_on = asyncio.Event()


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": "again " + message["text"]})
        return
    path = scope["path"]
    if path.endswith("/go-on"):
        go_on.set()
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    if path.endswith("/events"):
        await send({"type": "http.response.body", "body": b"data: 1\\n\\n", "more_body": True})
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"data: 2\\n\\n"})
        return
    found = {"host": headers["host"], "user": headers.get("x-souk-user-id", ""), "client": scope["client"][0],
             "root": scope.get("root_path", ""), "by": headers.get("x-forwarded-client-cert", "")}
    await send({"type": "http.response.body", "body": json.dumps(found).encode()})
"""


@dataclass
class Joined:
    """An application that has joined: its process, what the gateway serves of it, and what `souk ps` says of both."""

    process: Process
    url: str
    instance: str
    sidecar: dict[str, Any]
    folder: Path

    def socket(self, name: str) -> str:
        """Gives the path of one of its sockets."""
        return str(self.folder / (f"{self.instance}.sock" if name == "own" else f"{self.instance[-12:]}.{name}"))

    def stats(self, pattern: str) -> int:
        """Sums up the counters of its sidecar whose names match."""
        with httpx.Client(transport=httpx.HTTPTransport(uds=self.socket("admin")), base_url="http://admin") as client:
            found = json.loads(client.get("/stats", params={"format": "json", "filter": pattern}).text)["stats"]
        return sum(one.get("value", 0) for one in found)


def has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def is_there(url: str) -> None:
    until(lambda: httpx.get(url, timeout=PATIENCE).status_code == 200, PATIENCE, f"{url} is answered")


def listed(bazaar: Bazaar, service: str) -> list[dict[str, Any]]:
    return [one for one in bazaar.operator.ps() if one["service"] == service]


@contextmanager
def joined(bazaar: Bazaar, folder: Path, name: str) -> Iterator[Joined]:
    (folder / "shown.py").write_text(APPLICATION)
    with adopted(bazaar.system, folder, "--name", name, application="shown:app", path=folder) as process:
        is_there(f"{bazaar.system.url}/{name}/me")
        (application,) = [
            one for one in listed(bazaar, name) if one["kind"] == "application" and one["pid"] == process.pid
        ]
        instance = application["instance"]
        (sidecar,) = [one for one in listed(bazaar, name) if one["instance"] == f"{instance}-sidecar"]
        run_folder = DataLayout(bazaar.system.data.resolve()).run / "adopted"
        if not run_folder.is_dir():
            pytest.skip("the data directory's path is too long for sockets")
        yield Joined(process, f"{bazaar.system.url}/{name}", instance, sidecar, run_folder)
        if process.runs:  # it leaves the registry, so that no other test finds it there
            process.send(signal.SIGINT)
            assert process.await_end() == 0, process.output()


@pytest.fixture(scope="module")
def application(meshed: Bazaar, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Joined]:
    with joined(meshed, tmp_path_factory.mktemp("shown"), "shown") as found:
        yield found


def test_requests_reach_it_through_both_sidecars_with_the_caller(meshed: Bazaar, application: Joined) -> None:
    before = application.stats("http.inbound.rbac.allowed$")
    nobody = httpx.get(f"{application.url}/me", headers={"x-souk-user-id": "U-1", "souk-client-host": "evil"}).json()
    with log_in(meshed.system.url, "demo@souk.test", "demo-password") as buyer:
        known = buyer.get("/shown/me").json()
    assert nobody["user"] == ""
    assert known["user"].startswith("U-")
    public = meshed.system.url.partition("//")[2]
    assert known["by"].endswith(";URI=spiffe://souk.local/service/gateway")
    assert (known["host"], known["client"], known["root"]) == (public, "127.0.0.1", "/shown")
    assert application.stats("http.inbound.rbac.allowed$") >= before + 2


async def test_a_websocket_and_an_event_stream_pass(application: Joined) -> None:
    async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{application.url}/talk") as talk:
            await talk.send_str("hello")
            assert await talk.receive_str() == "again hello"
        async with session.get(f"{application.url}/events") as events:
            assert await events.content.readuntil(b"\n\n") == b"data: 1\n\n"
            async with session.get(f"{application.url}/go-on"):
                assert await events.content.readuntil(b"\n\n") == b"data: 2\n\n"


def test_a_stranger_is_refused_at_both_sockets(meshed: Bazaar, application: Joined) -> None:
    # The application's own socket belongs to this user, and yet only its sidecar may send there.
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(PATIENCE)
        stranger.connect(application.socket("own"))
        try:
            stranger.sendall(b"GET /shown/me HTTP/1.1\r\nhost: x\r\n\r\n")
            answer = stranger.recv(1024)
        except ConnectionError:
            answer = b""
    assert answer == b""

    authority = CertificateAuthority(AuthorityStore(meshed.system.data), Lifetimes(), SystemClock())
    name = instance_name(TRUST_DOMAIN, application.instance)
    context = ssl.create_default_context(cadata=authority.bundle)
    context.set_alpn_protocols(["h2"])
    with socket.socket(socket.AF_UNIX) as bare:
        bare.settimeout(PATIENCE)
        bare.connect(application.socket("in"))
        with context.wrap_socket(bare, server_hostname=name) as shown, pytest.raises(ssl.SSLError) as alert:
            shown.recv(1)
    assert "CERTIFICATE_REQUIRED" in str(alert.value)

    product = authority.issue(Workload("product", "product-9"))
    credentials = grpc.ssl_channel_credentials(authority.bundle.encode(), product.key.encode(), product.chain.encode())
    options = (("grpc.ssl_target_name_override", name),)
    at = f"unix:{application.socket('in')}"
    with grpc.secure_channel(at, credentials, options) as channel, pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary("/shown/me")(b"", timeout=PATIENCE)
    assert refused.value.details() == "RBAC: access denied"


def test_operators_see_it(meshed: Bazaar, application: Joined) -> None:
    (shown,) = [one for one in listed(meshed, "shown") if one["kind"] == "application"]
    assert (shown["isolation"], shown["not_isolated"]) == ("none", "it is adopted, and calls what it likes")
    assert (application.sidecar["kind"], application.sidecar["state"]) == ("sidecar", "ready")
    assert application.sidecar["pid"] > 0
    data = ("--data", str(meshed.system.data))
    status = json.loads(asyncio.run(run("mesh", "status", "--json", *data)).out)
    (about,) = [one for one in status["sidecars"] if one["instance"] == application.instance]
    assert (about["service"], about["connected"], about["rejected"]) == ("shown", True, [])
    may = json.loads(asyncio.run(run("mesh", "who-may-call", "shown", "--json", *data)).out)
    assert [(one["method"], one["caller"]) for one in may] == [("*", "gateway")]


def test_a_sidecar_that_dies_is_started_again_and_one_whose_process_dies_ends(meshed: Bazaar, tmp_path: Path) -> None:
    with joined(meshed, tmp_path, "mortal") as mortal, joined(meshed, tmp_path, "mortal") as other:
        first = mortal.sidecar["pid"]
        os.kill(first, signal.SIGKILL)

        def again() -> bool:
            found = [one for one in listed(meshed, "mortal") if one["instance"] == f"{mortal.instance}-sidecar"]
            return [(one["state"], one["pid"] != first) for one in found] == [("ready", True)]

        until(again, PATIENCE, "the sidecar runs again")
        is_there(f"{mortal.url}/me")
        other.process.send(signal.SIGKILL)
        other.process.await_end()
        until(lambda: has_ended(other.sidecar["pid"]), PATIENCE, "its sidecar has ended")
        assert {httpx.get(f"{mortal.url}/me", timeout=PATIENCE).status_code for _ in range(20)} == {200}
        left = lambda: other.instance not in {one["instance"] for one in listed(meshed, "mortal")}  # noqa: E731
        until(left, PATIENCE, "the registry has noticed")
