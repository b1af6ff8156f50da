"""Adapters that read prices from the Product service and addresses from the User service."""

from collections.abc import Sequence

import grpc.aio
from shop.product.v1 import product_pb2
from shop.product.v1.product_pb2_grpc import ProductServiceStub
from shop.user.v1 import user_pb2
from shop.user.v1.user_pb2_grpc import UserServiceStub

from marketplace.order.ports import Address, Price
from souk.sdk import CallFailed, acting_as, current


class ProductCatalogue:
    """Implements the port `Catalogue` by calls to Product."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._product = ProductServiceStub(channel)

    async def prices(self, product_ids: Sequence[str]) -> dict[str, Price]:
        answer = await self._product.BatchGetProducts(product_pb2.BatchGetProductsRequest(ids=product_ids))
        return {product.id: Price(product.price, product.currency) for product in answer.products}


class UserAddressBook:
    """Implements the port `AddressBook` by calls to User on behalf of the buyer."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._user = UserServiceStub(channel)

    async def address(self, user_id: str, address_id: str) -> Address | None:
        request = user_pb2.GetAddressRequest(id=address_id)
        try:
            with acting_as("order", on_behalf_of=user_id, deadline=current().deadline):
                found = await self._user.GetAddress(request)
        except CallFailed as failed:
            if failed.reason == "ADDRESS_NOT_FOUND":
                return None
            raise
        lines = (found.name, found.line1, found.line2, f"{found.postal_code} {found.city}", found.region, found.country)
        return Address(found.id, "\n".join(line for line in lines if line))
