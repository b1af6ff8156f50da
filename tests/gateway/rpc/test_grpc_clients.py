"""gRPC's own client at the gateway's port: HTTP/2 without TLS, the tokens and the errors that its users expect."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from shop.order.v1 import order_pb2, order_pb2_grpc

from souk.kernel.errors import DomainError
from souk.runtime.process.http.server import serving
from souk.runtime.process.sockets import listen


@pytest.fixture
async def orders(world: Any) -> AsyncIterator[Any]:
    listener = listen("127.0.0.1", 0)
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    async with serving(world.gateway, listener, 1.0), grpc.aio.insecure_channel(address) as channel:
        yield order_pb2_grpc.OrderServiceStub(channel)


async def test_a_call_with_a_token(world: Any, orders: Any) -> None:
    world.services.answer("GetOrder", order_pb2.Order(id="O-1"))
    bearer = (("authorization", f"Bearer {world.token()}"),)
    order = await orders.GetOrder(order_pb2.GetOrderRequest(id="O-1"), metadata=bearer, timeout=30)
    assert order.id == "O-1"
    _, _, context = world.services.last
    assert (context.caller.subject, context.caller.address) == ("U-demo", "127.0.0.1")


async def test_a_refusal_comes_with_its_reason(world: Any, orders: Any) -> None:
    world.services.refuse("GetOrder", DomainError("ORDER_NOT_FOUND", "there is no order O-1"))
    bearer = (("authorization", f"Bearer {world.token()}"),)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await orders.GetOrder(order_pb2.GetOrderRequest(id="O-1"), metadata=bearer, timeout=30)
    assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.NOT_FOUND, "there is no order O-1")
    info = error_details_pb2.ErrorInfo()
    status = rpc_status.from_call(refused.value)
    assert status.details[0].Unpack(info)
    assert info.reason == "ORDER_NOT_FOUND"


async def test_a_call_without_a_token_is_refused(orders: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await orders.GetOrder(order_pb2.GetOrderRequest(id="O-1"), timeout=30)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
