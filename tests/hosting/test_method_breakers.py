"""A method of a service that fails closes none of its others, seen from outside."""

from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
from shop.order.v1.order_pb2 import ListOrdersResponse

from souk.testing.processes import service
from tests.market.api import wish

ENOUGH = 30
"""Failed calls after which a breaker is open: more than the fewest that it judges by."""


class HalfSick(grpc.GenericRpcHandler):
    """An Order service that can list orders, and fails to place them."""

    def service(self, call: grpc.HandlerCallDetails) -> Any:
        async def answer(request: bytes, context: Any) -> bytes:
            if not call.method.endswith("/ListOrders"):
                await context.abort(grpc.StatusCode.UNKNOWN)
            return ListOrdersResponse().SerializeToString()

        return grpc.unary_unary_rpc_method_handler(answer)


async def test_orders_are_listed_while_none_can_be_placed(tmp_path: Path) -> None:
    order = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    order.add_generic_rpc_handlers((HalfSick(),))
    port = order.add_insecure_port("127.0.0.1:0")
    await order.start()
    async with service("user", tmp_path, "--demo") as user:
        known = {"SOUK_ADDRESSES": f"user={user.address},order=127.0.0.1:{port}"}
        async with (
            service("gateway", tmp_path, settings=known) as gateway,
            httpx.AsyncClient(base_url=f"http://{gateway.address}", timeout=60) as client,
        ):
            credentials = {"email": "demo@souk.test", "password": "demo-password"}
            token = (await client.post("/api/v1/auth/token", json=credentials)).json()["accessToken"]
            client.headers["Authorization"] = f"Bearer {token}"
            placed = []
            for number in range(ENOUGH):
                body = wish(("P-101", 1, 1_200), key=f"sick-{number}")
                placed.append((await client.post("/api/v1/orders", json=body)).status_code)
            assert (placed[0], placed[-1]) == (500, 503), "at last the breaker refuses on the spot"
            listed = await client.get("/api/v1/orders")
            assert (listed.status_code, listed.json()) == (200, {"orders": []})
    await order.stop(None)
