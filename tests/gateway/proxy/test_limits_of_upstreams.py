"""What a routes file says of an upstream's times, connections and sizes, as clients of a whole system see it.

`few` has the limit under test, `plain` has the default; both lead to the same server.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import h2.events
import h2.settings
import httpx
import pytest

from souk.hosting.monolith import monolith
from souk.kernel.clock import SystemClock
from souk.runtime.config.environment import read
from tests.gateway.proxy.conftest import Accepted, Server
from tests.gateway.proxy.test_http2_upstreams import Scripted, on_request, scripted_server
from tests.hosting.test_mistakes import Service, app, build, contract

GREETING = Service("greeting", contract(), build)
LIMIT = 60.0
PATIENT = "timeouts: {connect: 1h}"
Serve = Callable[..., Awaitable[Server]]
System = Callable[..., Any]


@pytest.fixture
def system(tmp_path: Path) -> System:
    """Runs a system whose routes `/few` and `/plain` lead to one URL; gives a client of it."""

    @asynccontextmanager
    async def started(
        url: str, limits: str, protocol: str = "http1", others: str = ""
    ) -> AsyncIterator[httpx.AsyncClient]:
        path = tmp_path / "routes.yaml"
        few, plain = (f"{{urls: ['{url}'], protocol: {protocol}, {more}}}" for more in (limits, others))
        path.write_text(f"upstreams:\n  few: {few}\n  plain: {plain}\nroutes: {{/few: few, /plain: plain}}\n")
        given = {"data": tmp_path / "data", "port": 0, "demo": True, "routes": path}
        async with (
            monolith(app(GREETING), read({}, given), SystemClock()) as running,
            httpx.AsyncClient(base_url=running.url, timeout=LIMIT) as client,
        ):
            yield client

    return started


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def while_plain_waits(client: httpx.AsyncClient, method: str = "GET") -> httpx.Response:
    """Sends a request to each, and gives the answer of `few`, for which `plain` still waits then."""
    waiting = asyncio.create_task(client.request(method, "/plain"))
    answer = await client.request(method, "/few")
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    return answer


@pytest.fixture
def full() -> Iterator[str]:
    """The URL of a server that takes no more connections: no SYN is answered while the backlog is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, socket.socket() as one, socket.socket() as two:
        for taken in (one, two):
            taken.setblocking(False)
            taken.connect_ex(listener.getsockname())
        yield "http://{}:{}".format(*listener.getsockname())


@pytest.mark.parametrize("protocol", ["http1", "h2"])
async def test_the_time_to_connect(system: System, full: str, protocol: str) -> None:
    async with system(full, "timeouts: {connect: 50ms}", protocol, PATIENT) as client:
        assert code(await while_plain_waits(client)) == (502, "UPSTREAM_FAILED")


async def test_the_time_until_an_upstream_of_http2_has_greeted(system: System, serve: Serve) -> None:
    async def silent(peer: Accepted) -> None:
        await peer.reader.read(1_000_000)
        await peer.reader.read(1_000_000)

    url = (await serve(silent)).url
    async with system(url, "timeouts: {connect: 50ms}", "h2", PATIENT) as client:
        assert code(await while_plain_waits(client)) == (502, "UPSTREAM_FAILED")


async def test_the_time_to_the_head_of_an_answer(system: System, serve: Serve) -> None:
    async def silent(peer: Accepted) -> None:
        await peer.request()
        await peer.reader.read()

    url = (await serve(silent)).url
    async with system(url, "timeouts: {firstByte: 50ms}") as client:
        assert code(await while_plain_waits(client)) == (504, "UPSTREAM_TIMEOUT")


async def test_the_time_to_the_head_of_an_answer_in_http2(system: System) -> None:
    async with (
        scripted_server(on_request(lambda server, stream: None)) as server,
        system(server.url, "timeouts: {firstByte: 50ms}", "h2") as client,
    ):
        assert code(await while_plain_waits(client)) == (504, "UPSTREAM_TIMEOUT")


async def test_the_time_without_a_part_of_a_body(system: System, serve: Serve) -> None:
    async def stopping(peer: Accepted) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\none")
        await peer.reader.read()

    url = (await serve(stopping)).url
    async with system(url, "timeouts: {idle: 50ms}") as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await while_plain_waits(client)


@pytest.mark.parametrize(("name", "connections"), [("few", 2), ("plain", 1)])
async def test_how_long_a_connection_is_kept(system: System, serve: Serve, name: str, connections: int) -> None:
    server = await serve()
    async with system(server.url, "timeouts: {keepAlive: 1ms}") as client:
        assert (await client.get(f"/{name}")).text == "ok"
        await asyncio.sleep(0.05)
        assert (await client.get(f"/{name}")).text == "ok"
    assert server.connections == connections


async def test_the_number_of_connections(system: System, serve: Serve) -> None:
    go_on = asyncio.Event()

    async def waiting(peer: Accepted) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no")
        await go_on.wait()
        await peer.send(b"k")

    server = await serve(waiting)
    async with system(server.url, "maxConnections: 1") as client:
        for name, second in (("few", 503), ("plain", 200)):
            go_on.clear()
            async with client.stream("GET", f"/{name}") as first:
                assert first.status_code == 200
                async with client.stream("GET", f"/{name}") as answer:
                    assert answer.status_code == second
                    go_on.set()
                    assert (await first.aread()) == b"ok"


async def test_the_number_of_connections_in_http2(system: System) -> None:
    """One connection carries as many requests as the upstream takes; no other one is made for more."""
    held: list[int] = []

    async def act(server: Scripted, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            held.append(event.stream_id or 0)
            server.h2.send_headers(held[-1], [(":status", "200")])

    one = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 1}
    async with scripted_server(act, one) as server, system(server.url, "maxConnections: 1", "h2") as client:
        async with client.stream("GET", "/few"):
            assert code(await client.get("/few")) == (503, "UPSTREAM_UNAVAILABLE")
        async with client.stream("GET", "/plain"), client.stream("GET", "/plain") as second:
            assert second.status_code == 200
    assert server.asked == [1, 1, 1]


def with_head(octets: int) -> Callable[[Accepted], Awaitable[None]]:
    async def script(peer: Accepted) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nx-a: %b\r\ncontent-length: 2\r\n\r\nok" % (b"a" * octets))

    return script


@pytest.mark.parametrize(
    ("most", "octets", "few", "plain"), [(1_024, 1_100, 502, 200), (1_024, 900, 200, 200), (90_000, 80_000, 200, 502)]
)
async def test_the_size_of_a_head(system: System, serve: Serve, most: int, octets: int, few: int, plain: int) -> None:
    async with system((await serve(with_head(octets))).url, f"maxHead: {most}") as client:
        assert [(await client.get(path)).status_code for path in ("/few", "/plain")] == [few, plain]


async def test_the_size_of_a_head_in_http2(system: System) -> None:
    def answer(server: Scripted, stream: int) -> None:
        server.h2.send_headers(stream, [(":status", "200"), ("x-a", "a" * 1_100)], end_stream=True)
        server.flush()

    async with scripted_server(on_request(answer)) as server, system(server.url, "maxHead: 1024", "h2") as client:
        assert [(await client.get(path)).status_code for path in ("/few", "/plain")] == [502, 200]


BODIES = {
    "a length": b"content-length: 20000\r\n\r\n" + b"x" * 20_000,
    "chunks": b"transfer-encoding: chunked\r\n\r\n" + b"4e20\r\n" + b"x" * 20_000 + b"\r\n0\r\n\r\n",
    "the end of the connection": b"\r\n" + b"x" * 20_000,
}


@pytest.mark.parametrize("framed", BODIES.values(), ids=BODIES)
async def test_the_size_of_an_answer(system: System, serve: Serve, framed: bytes) -> None:
    """What is known before the head leaves is a 502; what is found later breaks the answer off. Its instance works."""

    async def script(peer: Accepted) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n" + framed)

    async with system((await serve(script)).url, "maxAnswer: 19999") as client:
        for _ in range(120):  # more than the breaker looks at
            try:
                answer = await client.get("/few")
            except httpx.RemoteProtocolError:
                continue
            assert code(answer) == (502, "UPSTREAM_FAILED")
        assert (await client.get("/plain")).text == "x" * 20_000
        assert 'callee="upstream/few",caller="gateway",state="closed"} 1.0' in (await client.get("/metrics")).text


async def test_a_length_without_a_body_is_no_size(system: System, serve: Serve) -> None:
    async def script(peer: Accepted) -> None:
        line, _, _ = await peer.request()
        status = b"200 OK" if line.startswith("HEAD") else b"304 Not Modified"
        await peer.send(b"HTTP/1.1 " + status + b"\r\ncontent-length: 20000\r\n\r\n")

    async with system((await serve(script)).url, "maxAnswer: 10") as client:
        assert [(await client.request(method, "/few")).status_code for method in ("HEAD", "GET")] == [200, 304]


@pytest.mark.parametrize("announced", [True, False])
async def test_the_size_of_an_answer_in_http2(system: System, announced: bool) -> None:
    def answer(server: Scripted, stream: int) -> None:
        length = [("content-length", "9000")] if announced else []
        server.h2.send_headers(stream, [(":status", "200"), *length])
        server.h2.send_data(stream, b"x" * 9_000, end_stream=True)
        server.flush()

    async with scripted_server(on_request(answer)) as server, system(server.url, "maxAnswer: 8999", "h2") as client:
        assert code(await client.get("/few")) == (502, "UPSTREAM_FAILED")
        assert (await client.get("/plain")).text == "x" * 9_000


async def test_a_reload_puts_limits_into_force(system: System, serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "routes.yaml"
    async with system((await serve(with_head(2_000))).url, "maxHead: 9000") as client:
        assert (await client.get("/few")).status_code == 200
        path.write_text(path.read_text().replace("9000", "1024"))
        async with asyncio.timeout(LIMIT):
            while (await client.get("/few")).status_code != 502:
                await asyncio.sleep(0.05)  # the file system signals nothing
