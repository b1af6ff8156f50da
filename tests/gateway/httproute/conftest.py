"""A gateway behind its real HTTP server, with three upstreams on loopback that answer with what they were sent."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from souk.gateway.proxy.upstream import Upstream
from souk.gateway.routing.reading.document import parse
from souk.runtime.process.http.server import serving
from souk.runtime.process.sockets import address_of, listen

BACKENDS = ("v1", "v2", "v3")


@dataclass
class Echo:
    """An upstream. It answers with the request, and with the headers that `X-Echo-Set-Header` lists."""

    name: str
    url: str = ""
    received: list[dict[str, Any]] = field(default_factory=list)
    behave: Callable[[dict[str, Any]], Any] | None = None
    """Awaited before an answer; gives its status, or None for 200."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        seen = self._request(scope, body)
        self.received.append(seen)
        status = (await self.behave(seen) if self.behave else None) or 200
        given = [(b"content-type", b"application/json")]
        for header in seen["headers"].get("x-echo-set-header", "").split(","):
            name, colon, value = header.partition(":")
            if colon:
                given.append((name.strip().lower().encode(), value.strip().encode()))
        await send({"type": "http.response.start", "status": status, "headers": given})
        await send({"type": "http.response.body", "body": json.dumps(seen).encode()})

    def _request(self, scope: Any, body: bytes) -> dict[str, Any]:
        headers: dict[str, str] = {}
        for raw, value in scope["headers"]:
            name = raw.decode()
            headers[name] = f"{headers[name]},{value.decode()}" if name in headers else value.decode()
        query = scope["query_string"].decode()
        path = scope["raw_path"].decode() + (f"?{query}" if query else "")
        return {
            "backend": self.name,
            "method": scope["method"],
            "path": path,
            "host": headers.get("host", ""),
            "headers": headers,
            "body": body.decode(),
            "http": scope["http_version"],
        }


@dataclass
class Site:
    """The gateway of a test, its upstreams by name, and a client."""

    gateway: Any
    url: str
    upstreams: dict[str, Echo]
    client: httpx.AsyncClient
    apply: Callable[[str], None]

    def use(self, rules: str) -> None:
        """Puts a routes file into force. `v1`, `v2`, `v3` are the upstreams."""
        named = "".join(f"  {name}: {echo.url}\n" for name, echo in self.upstreams.items())
        self.apply(f"upstreams:\n{named}{rules}")

    async def send(
        self, path: str, *, method: str = "GET", host: str = "", headers: dict[str, str] | None = None, body: str = ""
    ) -> httpx.Response:
        sent = {**(headers or {}), **({"host": host} if host else {})}
        return await self.client.request(method, self.url + path, headers=sent, content=body or None)

    async def reaches(self, backend: str | int, path: str, **request: Any) -> dict[str, Any]:
        """Sends a request, and checks which upstream got it, or the status that was answered instead."""
        answer = await self.send(path, **request)
        if isinstance(backend, int):
            assert answer.status_code == backend, (path, request, answer.text)
            return {}
        assert answer.status_code == 200, (path, request, answer.text)
        seen: dict[str, Any] = answer.json()
        assert seen["backend"] == backend, (path, request)
        return seen

    async def redirects(self, status: int, location: str, path: str, **request: Any) -> None:
        answer = await self.send(path, **request)
        assert (answer.status_code, answer.headers["location"]) == (status, location)


@asynccontextmanager
async def listening(*applications: Any) -> AsyncIterator[list[str]]:
    """Serves each application; gives their URLs. They end at the same time, as each takes a moment for it."""
    over = asyncio.Event()

    async def serve(application: Any, url: asyncio.Future[str]) -> None:
        with listen("127.0.0.1", 0) as listener:
            async with serving(application, listener, drain=1):
                url.set_result(f"http://{address_of(listener)}")
                await over.wait()

    async with asyncio.TaskGroup() as group:
        urls: list[asyncio.Future[str]] = []
        for application in applications:
            urls.append(asyncio.get_running_loop().create_future())
            group.create_task(serve(application, urls[-1]))
        try:
            yield [await url for url in urls]
        finally:
            over.set()


@pytest.fixture
async def site(world: Any) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        upstreams = {name: Echo(name) for name in BACKENDS}
        applications = (*upstreams.values(), world.gateway)
        *urls, url = await stack.enter_async_context(listening(*applications))
        for echo, found in zip(upstreams.values(), urls, strict=True):
            echo.url = found
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=60))

        targets: list[Upstream] = []

        def apply(text: str) -> None:
            file = parse(text)
            made = {
                one.name: Upstream(one.name, world.clock, http2=one.http2).listed(one.urls) for one in file.upstreams
            }
            targets.extend(made.values())
            world.gateway.use_routes(file, made)

        yield Site(world.gateway, url, upstreams, client, apply)
        for target in targets:
            await target.close()
