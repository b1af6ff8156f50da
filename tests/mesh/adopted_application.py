"""A mesh of a gateway's sidecar and of an adopted application's instances, each behind its own sidecar."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from souk.discovery.directory import Directory
from souk.discovery.registry import Instance
from souk.gateway.routing.announcement import Announcement
from souk.kernel.addresses import socket_path, unix_address
from souk.mesh.control_plane import ControlPlane
from souk.mesh.envoy.bootstrap import Sidecar
from souk.mesh.envoy.trace_variables import SpanReceiver
from souk.mesh.identity.authority import CertificateAuthority
from souk.mesh.identity.lifetimes import Lifetimes
from souk.mesh.identity.store import AuthorityStore
from souk.mesh.policy.reading import default_policy
from souk.mesh.policy.who_may_call import who_may_call
from souk.mesh.workloads import workload_token
from souk.runtime.calls.registration import APPLICATION
from souk.runtime.data.layout import DataLayout
from souk.runtime.process.http.server import serving
from souk.runtime.process.http.websockets import UpgradingProtocol
from souk.testing.servers.sidecar import SidecarProcess
from tests.mesh.order_and_payment import CLOCK, SECRET, SERVICES, ToldRegistry

NAME = "reviews"
PATIENCE = 120.0


@dataclass
class Shown:
    """An application of ASGI that shows each request, says everything again that a WebSocket brings, and sends two
    events at /events, the second one once it may `go_on`. It ends the next `losing` requests without an answer."""

    name: str
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    losing: int = 0
    requests: list[str] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await self._socket(receive, send)
            return
        self.requests.append(scope["method"])
        if scope["path"] == "/events":
            await self._events(send)
            return
        body = b""
        while (message := await receive()).get("more_body") or message.get("body"):
            body += message["body"]
            if not message.get("more_body"):
                break
        found = {
            "instance": self.name,
            "method": scope["method"],
            "target": scope["raw_path"].decode() + "?" + scope["query_string"].decode(),
            "headers": {name.decode(): value.decode("latin-1") for name, value in scope["headers"]},
            "body": body.decode(),
        }
        headers = [(b"content-type", b"application/json"), (b"souk-callee-flags", b"forged")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(found).encode()})

    async def _events(self, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await self.go_on.wait()
        await send({"type": "http.response.body", "body": b"data: 2\n\n"})

    async def _socket(self, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": f"{self.name}: {message['text']}"})


def losing(application: Shown) -> type[UpgradingProtocol]:
    """Makes the protocol of a server that ends connections with requests as the application is told."""

    class Losing(UpgradingProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.bare = transport
            super().connection_made(transport)

        def data_received(self, data: bytes) -> None:
            if not application.losing:
                super().data_received(data)
                return
            application.losing -= 1
            application.requests.append(data.partition(b" ")[0].decode())
            self.bare.abort()  # type: ignore[attr-defined]

    return Losing


@dataclass
class AdoptedMesh:
    """Where the gateway's requests go in, the control plane and the registry, and of each instance the application, its
    server and its sidecar, by its name."""

    outbound: str
    plane: ControlPlane
    registry: ToldRegistry
    folder: Path
    applications: dict[str, Shown] = field(default_factory=dict)
    servers: dict[str, AsyncExitStack] = field(default_factory=dict)
    sidecars: dict[str, SidecarProcess] = field(default_factory=dict)

    def instance(self, name: str) -> Instance:
        metadata = {APPLICATION: unix_address(self.folder / f"{name}.sock")}
        return Instance(NAME, name, unix_address(self.folder / f"{name}.in"), metadata=metadata)

    def sidecar(self, service: str, name: str, **metadata: str) -> SidecarProcess:
        about = Sidecar(
            name, service, workload_token(SECRET, service, name), DataLayout(self.folder).control_plane,
            self.folder / f"{name}.admin", {"outbound": unix_address(self.folder / f"{name}.out"), **metadata},
        )  # fmt: skip
        return SidecarProcess(self.folder / f"{name}-sidecar", about)

    async def join(self, name: str) -> None:
        """Starts an instance, and has it joined as `souk adopt` does; it takes requests then."""
        instance = self.instance(name)
        self.applications[name], self.servers[name] = Shown(name), AsyncExitStack()
        await self.serve(name)
        at = {"inbound": instance.address, "application": instance.metadata[APPLICATION]}
        process = self.sidecars[name] = self.sidecar(NAME, name, **at)
        process.__enter__()
        await process.start()
        self.registry.join(instance)
        self.registry.join(Announcement(NAME, f"/{NAME}").registered(instance))
        async with asyncio.timeout(PATIENCE):
            while name not in {await self.answered_by() for _ in range(10)}:
                await asyncio.sleep(0.05)

    async def serve(self, name: str) -> None:
        """Has an instance's application listen."""
        path = Path(socket_path(self.instance(name).metadata[APPLICATION]))
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        listener.setblocking(False)
        application = self.applications[name]
        running = serving(application, listener, 0.1, protocol=losing(application))
        await self.servers[name].enter_async_context(running)

    async def answered_by(self) -> str:
        """Names the instance that answers a request; "" if none does."""
        answer = await self.send("GET", "/who")
        return str(answer.json()["instance"]) if answer.status_code == 200 else ""

    async def send(self, method: str, target: str, headers: dict[str, str] | None = None, **more: Any) -> Any:
        """Sends a request into the gateway's sidecar, as the gateway does."""
        own = {"host": NAME, "souk-client-host": "shop.test", **(headers or {})}
        async with self.client() as client:
            return await client.request(method, f"http://sidecar{target}", headers=own, **more)

    def client(self) -> httpx.AsyncClient:
        transport = httpx.AsyncHTTPTransport(uds=socket_path(self.outbound))
        return httpx.AsyncClient(transport=transport, timeout=PATIENCE)

    async def close(self) -> None:
        for process in self.sidecars.values():
            process.kill()
        for stack in self.servers.values():
            await stack.aclose()


@asynccontextmanager
async def adopted_mesh(folder: Path, spans: SpanReceiver | None = None) -> AsyncIterator[AdoptedMesh]:
    """Starts the control plane, the gateway's sidecar, and one instance of the application."""
    registry = ToldRegistry()
    directory = Directory(registry, CLOCK)
    authority = CertificateAuthority(AuthorityStore(folder), Lifetimes(), CLOCK)
    rules, allowed = default_policy(SERVICES), who_may_call(SERVICES)
    plane = ControlPlane(SERVICES, rules, allowed, authority, directory, SECRET, CLOCK, spans)
    mesh = AdoptedMesh(unix_address(folder / "gateway-1.out"), plane, registry, folder)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(directory.close)
        await stack.enter_async_context(plane.serving(DataLayout(folder).control_plane))
        gateway = stack.enter_context(mesh.sidecar("gateway", "gateway-1"))
        await gateway.start()
        await plane.server.settled("gateway-1")
        stack.push_async_callback(mesh.close)
        await mesh.join("reviews-1")
        yield mesh
