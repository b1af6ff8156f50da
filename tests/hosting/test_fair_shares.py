"""A customer who asks for more than his share delays nobody else, seen from outside."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
from shop.order.v1.order_pb2 import ListOrdersResponse, Order

from souk.testing.processes import service

RUNNING, OF_ONE_USER = 4, 2
OVERLOADED = 503
LIMITS = f"[order.bulkhead]\nrunning = {RUNNING}\nuser_running = {OF_ONE_USER}\n"


class Slow(grpc.GenericRpcHandler):
    """An Order service that answers a list only once a test releases it, and everything else at once."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.held = 0
        self.most = 0

    def service(self, call: grpc.HandlerCallDetails) -> Any:
        return grpc.unary_unary_rpc_method_handler(self._list if call.method.endswith("/ListOrders") else self._get)

    async def _list(self, request: bytes, context: Any) -> bytes:
        self.held += 1
        self.most = max(self.most, self.held)
        await self.released.wait()
        self.held -= 1
        return ListOrdersResponse().SerializeToString()

    async def _get(self, request: bytes, context: Any) -> bytes:
        return Order(id="ORD-1").SerializeToString()


async def admitted(client: httpx.AsyncClient, method: str, path: str, **more: Any) -> httpx.Response:
    """Asks as a client does that the gateway may ask to come again: it sheds load while its event loop is late."""
    async with asyncio.timeout(60):
        while (answer := await client.request(method, path, **more)).status_code == OVERLOADED:
            assert answer.json()["code"] == "OVERLOADED", answer.text
            await asyncio.sleep(float(answer.headers["retry-after"]))
    return answer


async def logged_in(client: httpx.AsyncClient, email: str) -> dict[str, str]:
    password = "a-long-password"
    await admitted(client, "POST", "/api/v1/users", json={"email": email, "password": password, "name": "Somebody"})
    answer = await admitted(client, "POST", "/api/v1/auth/token", json={"email": email, "password": password})
    return {"Authorization": f"Bearer {answer.json()['accessToken']}"}


@asynccontextmanager
async def slow_orders() -> AsyncIterator[tuple[Slow, int]]:
    """A slow Order service, and its port."""
    server, slow = grpc.aio.server(options=[("grpc.so_reuseport", 0)]), Slow()
    server.add_generic_rpc_handlers((slow,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield slow, port
    finally:
        slow.released.set()
        await server.stop(None)


async def test_one_customer_with_many_slow_requests_delays_no_other(tmp_path: Path) -> None:
    (tmp_path / "limits.toml").write_text(LIMITS)
    async with slow_orders() as (slow, port), service("user", tmp_path) as user:
        settings = {
            "SOUK_ADDRESSES": f"user={user.address},order=127.0.0.1:{port}",
            "SOUK_RESILIENCE": str(tmp_path / "limits.toml"),
        }
        async with (
            service("gateway", tmp_path, settings=settings) as gateway,
            httpx.AsyncClient(base_url=f"http://{gateway.address}", timeout=60) as client,
        ):
            greedy, other = await logged_in(client, "greedy@example.com"), await logged_in(client, "other@example.com")
            many = (admitted(client, "GET", "/api/v1/orders", headers=greedy) for _ in range(5 * RUNNING))
            flood = asyncio.gather(*many, return_exceptions=True)
            async with asyncio.timeout(60):
                while slow.held < OF_ONE_USER:
                    await asyncio.sleep(0.01)
            answer = await admitted(client, "GET", "/api/v1/orders/ORD-1", headers=other)
            assert (answer.status_code, answer.json().get("id")) == (200, "ORD-1"), answer.text
            assert slow.most == OF_ONE_USER
            slow.released.set()
            await flood
