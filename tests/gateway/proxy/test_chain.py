"""A gateway behind a gateway: what the inner one knows of a request, and what becomes of a chain that is a loop."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from shop.user.v1 import user_pb2 as pb

from souk.gateway.limits.limiter import LimitMode, RateLimits
from souk.gateway.limits.memory import MemoryQuotas
from souk.gateway.limits.policies_file import from_mapping
from souk.gateway.proxy.heads import MOST_HOPS
from souk.gateway.proxy.upstream import Upstream
from souk.gateway.routing.reading.document import parse
from souk.gateway.settings import GatewaySettings
from souk.runtime.process.http.server import serving
from tests.gateway.proxy.conftest import Server

PATIENCE = 120.0
HERE = (ipaddress.ip_network("127.0.0.1/32"),)
READ = {"reads": {"count": 3, "window": 3600, "by": "address", "classes": ["read"]}}


class Chain:
    """Two gateways, each with a client at hand: the outer one leads all that it has no route for to the inner one."""

    def __init__(self, outer: Any, inner: Any, ports: tuple[int, int]) -> None:
        self.outer, self.inner = outer, inner
        self.url, self.inner_url = (f"http://127.0.0.1:{port}" for port in ports)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            return await client.get(self.url + path, headers=sent)


@pytest.fixture
async def chain(world_of: Any) -> AsyncIterator[Chain]:
    async with contextlib.AsyncExitStack() as stack:
        outer = await stack.enter_async_context(world_of(GatewaySettings()))
        inner = await stack.enter_async_context(world_of(GatewaySettings(trusted_proxies=HERE)))
        inner.remake(RateLimits.of(from_mapping(READ), MemoryQuotas(inner.clock), LimitMode.ENFORCE))
        listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        made = Chain(outer, inner, tuple(one.getsockname()[1] for one in listeners))  # type: ignore[arg-type]  # two
        upstream = Upstream("inner", outer.clock).listed([made.inner_url])
        stack.push_async_callback(upstream.close)
        rules = "routes: [{rules: [{matches: [{path: /in}], filters: [{urlRewrite: {path: {replacePrefixMatch: /}}}], timeouts: {request: 120s}, backendRefs: [inner]}]}]\n"  # noqa: E501
        file = f"upstreams: {{inner: '{made.inner_url}'}}\n{rules}"
        outer.gateway.use_routes(parse(file, "f.yaml"), {"inner": upstream})
        for world, listener in ((inner, listeners[1]), (outer, listeners[0])):
            await stack.enter_async_context(serving(world.gateway, listener, drain=1.0))
        yield made


async def test_the_inner_gateway_knows_caller_request_and_trace(chain: Chain) -> None:
    traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
    token = chain.inner.token("U-7")
    answer = await chain.get(
        "/in/api/v1/users/me", authorization=f"Bearer {token}", x_request_id="mine.1", traceparent=traceparent
    )
    assert answer.status_code == 200
    assert answer.headers["x-request-id"] == "mine.1"
    assert answer.headers["via"] == "1.1 souk"
    context = chain.inner.services.last[2]
    assert (context.caller.subject, context.caller.address) == ("U-7", "127.0.0.1")
    assert context.traceparent[:35] == traceparent[:35]
    assert chain.outer.services.asked == []


async def test_a_refusal_of_the_inner_gateway_comes_back_as_it_is(chain: Chain) -> None:
    answer = await chain.get("/in/api/v1/users/me", authorization="Bearer a.b.c")
    assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_an_api_key_stays_at_the_first_gateway(chain: Chain) -> None:
    """It is the outer gateway's own credential, which no server behind it needs to see."""
    chain.inner.services.answer("AuthenticateApiKey", pb.ApiKeyOwner(user_id="U-1", scopes=["user:read"]))
    key = f"souk_{'0' * 15}1_{'A' * 43}"
    assert (await chain.get("/in/api/v1/users/me", x_api_key=key)).status_code == 401
    assert chain.inner.services.asked == []


async def test_the_inner_gateway_counts_each_client_once_and_not_the_outer_gateway(chain: Chain) -> None:
    async def statuses(address: str) -> list[int]:
        transport = httpx.AsyncHTTPTransport(local_address=address)
        async with httpx.AsyncClient(transport=transport, timeout=PATIENCE) as client:
            return [(await client.get(f"{chain.url}/in/api/v1/products")).status_code for _ in range(4)]

    assert await statuses("127.0.0.2") == [200] * 3 + [429]
    assert await statuses("127.0.0.3") == [200] * 3 + [429]
    assert chain.inner.services.last[2].caller.address == "127.0.0.3"


async def test_a_client_that_waits_no_longer_ends_the_call_at_both(chain: Chain) -> None:
    called, cancelled = asyncio.Event(), asyncio.Event()

    async def slow(_: object) -> Any:
        called.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    chain.inner.services.behaviours["ListProducts"] = slow
    asking = asyncio.create_task(chain.get("/in/api/v1/products"))
    async with asyncio.timeout(PATIENCE):
        await called.wait()
        asking.cancel()
        await cancelled.wait()


async def test_a_loop_ends_with_508(world_of: Any) -> None:
    async with contextlib.AsyncExitStack() as stack:
        world = await stack.enter_async_context(world_of(GatewaySettings()))
        listener = socket.create_server(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        itself = Upstream("itself", world.clock).listed([url])
        stack.push_async_callback(itself.close)
        world.gateway.use_routes(
            parse(f"upstreams: {{itself: '{url}'}}\nroutes: {{/: itself}}\n", "f.yaml"), {"itself": itself}
        )
        await stack.enter_async_context(serving(world.gateway, listener, drain=1.0))
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            answer = await client.get(
                f"{url}/round", headers=[("via", "1.0 other"), ("via", "2 another, HTTP/1.1 souk-like")]
            )
        assert (answer.status_code, answer.json()["code"]) == (508, "LOOP_DETECTED")
        assert answer.headers["via"].count("souk") == MOST_HOPS


FORGED = 'for=6.6.6.6;host="evil.test";proto=https'
OUTER_HOP = 'for=127.0.0.2;host="shop.test";proto=http'
INNER_HOP = 'for=127.0.0.1;host="shop.test";proto=http'


@contextlib.asynccontextmanager
async def behind(chain: Chain, server: Server) -> AsyncIterator[httpx.AsyncClient]:
    """Puts a server behind the inner gateway; gives a client of the outer one, whose address is 127.0.0.2."""
    last = Upstream("last", chain.inner.clock, trusted=chain.inner.gateway.settings.trusted_proxies)
    last.listed([server.url])
    chain.inner.gateway.use_routes(parse(f"routes: {{/last: '{server.url}'}}\n", "f.yaml"), {server.url: last})
    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
    async with httpx.AsyncClient(transport=transport, base_url=chain.url, timeout=PATIENCE) as client:
        yield client
    await last.close()


async def test_every_hop_is_in_forwarded_in_its_order(chain: Chain, serve: Any) -> None:
    """What the client says of itself goes no further than the outer gateway, which trusts nobody."""
    server: Server = await serve()
    forged = [
        ("host", "shop.test"),
        ("forwarded", FORGED),
        ("forwarded", "for=7.7.7.7"),
        ("x-forwarded-for", "6.6.6.6"),
    ]
    async with behind(chain, server) as client:
        assert (await client.get("/in/last", headers=forged)).status_code == 200
    sent = server.last[1]
    assert sent["forwarded"] == f"{OUTER_HOP}, {INNER_HOP}"
    assert sent["x-forwarded-for"] == "127.0.0.2, 127.0.0.1"
    assert (sent["x-forwarded-host"], sent["x-forwarded-proto"], sent["via"]) == (
        "shop.test",
        "http",
        "1.1 souk, 1.1 souk",
    )


async def test_forwarded_of_a_trusted_proxy_goes_on_whole(chain: Chain, serve: Any) -> None:
    """A proxy before the inner gateway, which trusts it, in several fields and with an address of IPv6."""
    server: Server = await serve()
    given = [("host", "shop.test"), ("forwarded", FORGED), ("forwarded", 'for="[2001:db8::1]:4711", for=unknown')]
    async with behind(chain, server), httpx.AsyncClient(timeout=PATIENCE) as proxy:
        assert (await proxy.get(f"{chain.inner_url}/last", headers=given)).status_code == 200
    assert server.last[1]["forwarded"] == f'{FORGED}, for="[2001:db8::1]:4711", for=unknown, {INNER_HOP}'


async def test_forwarded_of_a_stranger_at_the_inner_gateway_goes_no_further(chain: Chain, serve: Any) -> None:
    server: Server = await serve()
    given = [("host", "shop.test"), ("forwarded", FORGED)]
    async with behind(chain, server) as stranger:
        assert (await stranger.get(f"{chain.inner_url}/last", headers=given)).status_code == 200
    assert server.last[1]["forwarded"] == OUTER_HOP
