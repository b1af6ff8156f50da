"""The service as its callers see it: through a channel, under the policy of its contract."""

import grpc
import pytest
from shop.product.v1 import product_pb2 as pb
from shop.product.v1.product_pb2_grpc import ProductServiceStub

from marketplace.product.service import service
from marketplace.product.servicer import ProductServicer
from souk.kernel.clock import SystemClock
from souk.kernel.context import CallContext, Caller, use
from souk.kernel.errors import Outcome
from souk.rpc.call import CallFailed
from souk.rpc.caller_token import CallerTokens
from souk.rpc.client.channel import Channel
from souk.rpc.in_process.transport import InProcessTransport
from souk.rpc.server.dispatcher import Dispatcher

KEY = b"k" * 32
ADMIN = CallContext(caller=Caller(subject="U-admin", roles=frozenset({"admin"}), service="gateway"))
BUYER = CallContext(caller=Caller(subject="U-1", roles=frozenset({"customer"}), service="gateway"))


@pytest.fixture
def stub(product: ProductServicer) -> ProductServiceStub:
    dispatcher = Dispatcher(CallerTokens(KEY, "product", SystemClock()))
    dispatcher.add(product, service.contract)
    return ProductServiceStub(
        Channel(InProcessTransport(dispatcher), tokens=CallerTokens(KEY, "gateway", SystemClock()))
    )


async def test_only_an_admin_changes_the_catalogue(stub: ProductServiceStub, mug: pb.CreateProductRequest) -> None:
    with use(BUYER):
        for call in (
            stub.CreateProduct(mug),
            stub.UpdateProduct(pb.UpdateProductRequest(id="P-1")),
            stub.DeleteProduct(pb.DeleteProductRequest(id="P-1")),
        ):
            with pytest.raises(CallFailed) as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    with use(ADMIN):
        assert (await stub.CreateProduct(mug)).id == "P-1"


async def test_refusals_carry_the_reasons_of_the_contract(
    stub: ProductServiceStub, mug: pb.CreateProductRequest
) -> None:
    with use(ADMIN):
        await stub.CreateProduct(mug)
        for call, reason in (
            (stub.CreateProduct(mug), "PRODUCT_EXISTS"),
            (stub.GetProduct(pb.GetProductRequest(id="x")), "PRODUCT_NOT_FOUND"),
            (stub.UpdateProduct(pb.UpdateProductRequest(id="x")), "PRODUCT_NOT_FOUND"),
            (stub.DeleteProduct(pb.DeleteProductRequest(id="x")), "PRODUCT_NOT_FOUND"),
        ):
            with pytest.raises(CallFailed) as caught:
                await call
            assert (caught.value.outcome, caught.value.reason) == (Outcome.REFUSED, reason)


async def test_anyone_may_read(stub: ProductServiceStub) -> None:
    assert not (await stub.ListProducts(pb.ListProductsRequest())).products
    assert not (await stub.SearchProducts(pb.SearchProductsRequest(q="mug"))).products
    with pytest.raises(CallFailed) as caught:
        await stub.SearchProducts(pb.SearchProductsRequest(page_size=0))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
