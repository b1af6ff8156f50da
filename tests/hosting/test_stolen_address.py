"""A stranger at the address of a service that has died: what he catches opens nothing else.

Services listen at ports here, as they do where ports are asked for; at sockets he does not get that far.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from shop.payment.v1.payment_pb2 import ListPaymentMethodsRequest, TopUpWalletRequest
from shop.payment.v1.payment_pb2_grpc import PaymentServiceStub
from shop.user.v1.user_pb2 import GetMeRequest
from shop.user.v1.user_pb2_grpc import UserServiceStub

from souk.rpc.caller_token import CALLER_KEY
from souk.rpc.status import details_of
from souk.testing.free_ports import free_port
from souk.testing.processes import service


class Stranger(grpc.GenericRpcHandler):
    """A server that answers nothing, and records what it receives."""

    def __init__(self) -> None:
        self.caught: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def service(self, call: grpc.HandlerCallDetails) -> Any:
        async def nothing(request: bytes, context: Any) -> bytes:
            if not self.caught.done():
                self.caught.set_result(dict(context.invocation_metadata())[CALLER_KEY])
            await context.abort(grpc.StatusCode.UNAVAILABLE)
            return b""

        return grpc.unary_unary_rpc_method_handler(nothing)


@asynccontextmanager
async def stranger_at(address: str) -> AsyncIterator[Stranger]:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((stranger := Stranger(),))
    server.add_insecure_port(address)
    await server.start()
    yield stranger
    await server.stop(None)


async def refused(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value.code(), details_of(tuple(raised.value.trailing_metadata() or ())).reason


async def test_a_caught_token_opens_no_other_method_and_no_other_service(tmp_path: Path) -> None:
    port = str(free_port())
    payment_address = f"127.0.0.1:{port}"
    async with service("user", tmp_path, "--demo", settings={"SOUK_HOST": "127.0.0.1"}) as user:
        known = {"SOUK_ADDRESSES": f"user={user.address},payment={payment_address}"}
        async with (
            service("gateway", tmp_path, settings=known) as gateway,
            httpx.AsyncClient(base_url=f"http://{gateway.address}", timeout=60) as client,
        ):
            credentials = {"email": "demo@souk.test", "password": "demo-password"}
            token = (await client.post("/api/v1/auth/token", json=credentials)).json()["accessToken"]
            client.headers["Authorization"] = f"Bearer {token}"
            async with stranger_at(payment_address) as stranger:
                answer = await client.get("/api/v1/wallet")
                assert answer.status_code == 503
                stolen = ((CALLER_KEY, await stranger.caught),)
        async with service("payment", tmp_path, "--port", port), grpc.aio.insecure_channel(payment_address) as channel:
            payment = PaymentServiceStub(channel)
            top_up = TopUpWalletRequest(amount=100, currency="EUR", card_token="tok_visa", idempotency_key="stolen")
            async with grpc.aio.insecure_channel(user.address) as another:
                calls = [
                    payment.TopUpWallet(top_up, metadata=stolen, timeout=10),
                    payment.ListPaymentMethods(ListPaymentMethodsRequest(), metadata=stolen, timeout=10),
                    UserServiceStub(another).GetMe(GetMeRequest(), metadata=stolen, timeout=10),
                ]
                for call in calls:
                    assert await refused(call) == (grpc.StatusCode.UNAVAILABLE, "CALLER_TOKEN_REFUSED")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
async def test_nobody_else_can_listen_at_a_socket_of_a_service_or_call_it(tmp_path: Path) -> None:
    async with service("inventory", tmp_path) as inventory:
        path = inventory.address.removeprefix("unix:")
        for attempt in (f"connect({path!r})", f"bind({os.path.dirname(path) + '/stolen.sock'!r})"):
            code = f"import socket; socket.socket(socket.AF_UNIX).{attempt}"
            ended = subprocess.run(
                (sys.executable, "-c", code), user="nobody", group="nogroup", cwd="/", capture_output=True, text=True
            )
            assert "PermissionError" in ended.stderr or "Permission denied" in ended.stderr


async def test_the_same_user_reaches_a_service_round_its_sidecar_and_needs_a_caller_token(tmp_path: Path) -> None:
    """That is what holds in a mesh where nothing is isolated; what needs no token is answered."""
    async with service("inventory", tmp_path) as inventory, grpc.aio.insecure_channel(inventory.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await channel.unary_unary("/shop.inventory.v1.InventoryService/Reserve")(b"", timeout=60.0)
        assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED
        health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=60.0)
        assert health.status == health_pb2.HealthCheckResponse.SERVING
