"""The Product service: its composition root, and the servicer that turns messages into commands."""

from importlib.resources import files
from typing import Any

import grpc.aio
from google.protobuf.empty_pb2 import Empty
from shop.product.v1 import product_pb2 as pb
from shop.product.v1.product_pb2_grpc import ProductServiceServicer

from marketplace.product.demo import load_demo
from marketplace.product.domain import Changes, Product
from marketplace.product.messages import to_message
from marketplace.product.ports import Catalogue, Listing
from marketplace.product.store import ProductStore
from marketplace.product.use_cases.create_product import CreateProduct, create_product
from marketplace.product.use_cases.delete_product import delete_product
from marketplace.product.use_cases.get_products import batch_get_products, get_product
from marketplace.product.use_cases.list_products import ListProducts, list_products
from marketplace.product.use_cases.page import Page
from marketplace.product.use_cases.search_products import SearchProducts, search_products
from marketplace.product.use_cases.update_product import UpdateProduct, update_product
from souk.hosting.service import Host, Parts, Service
from souk.kernel.clock import Clock
from souk.kernel.paging import page_size_of

__all__ = ["ProductServicer", "build", "service"]

Context = grpc.aio.ServicerContext[Any, Any]


class ProductServicer(ProductServiceServicer):
    """shop.product.v1.ProductService, over a catalogue."""

    def __init__(self, catalogue: Catalogue, clock: Clock) -> None:
        self._catalogue = catalogue
        self._clock = clock

    async def ListProducts(self, request: pb.ListProductsRequest, context: Context) -> pb.ListProductsResponse:
        listing = Listing(
            sort=_given(request, "sort") or "name",
            category=_given(request, "category"),
            min_price=_given(request, "min_price"),
            max_price=_given(request, "max_price"),
        )
        command = ListProducts(listing, page_size_of(request), request.page_token)
        return _page(await list_products(command, self._catalogue))

    async def SearchProducts(self, request: pb.SearchProductsRequest, context: Context) -> pb.ListProductsResponse:
        command = SearchProducts(request.q, _given(request, "category"), page_size_of(request), request.page_token)
        return _page(await search_products(command, self._catalogue))

    async def GetProduct(self, request: pb.GetProductRequest, context: Context) -> pb.Product:
        return to_message(await get_product(request.id, self._catalogue))

    async def CreateProduct(self, request: pb.CreateProductRequest, context: Context) -> pb.Product:
        command = CreateProduct(
            id=_given(request, "id"),
            name=request.name,
            description=request.description,
            category=request.category,
            price=request.price,
            currency=request.currency,
            image_url=_given(request, "image_url"),
        )
        return to_message(await create_product(command, self._catalogue, self._clock))

    async def UpdateProduct(self, request: pb.UpdateProductRequest, context: Context) -> pb.Product:
        changes = Changes(**{field: _given(request, field) for field in Changes.__slots__})
        command = UpdateProduct(request.id, changes)
        return to_message(await update_product(command, self._catalogue, self._clock))

    async def DeleteProduct(self, request: pb.DeleteProductRequest, context: Context) -> Empty:
        await delete_product(request.id, self._catalogue)
        return Empty()

    async def BatchGetProducts(
        self, request: pb.BatchGetProductsRequest, context: Context
    ) -> pb.BatchGetProductsResponse:
        found = await batch_get_products(request.ids, self._catalogue)
        return pb.BatchGetProductsResponse(products=map(to_message, found))


async def build(host: Host) -> Parts:
    """Puts the service together."""
    catalogue = ProductStore(host.database, host.outbox)
    servicer = ProductServicer(catalogue, host.clock)
    return Parts(servicer=servicer, demo=lambda: load_demo(catalogue, host.clock))


def _given(request: Any, field: str) -> Any:
    return getattr(request, field) if request.HasField(field) else None


def _page(page: Page[Product]) -> pb.ListProductsResponse:
    return pb.ListProductsResponse(products=map(to_message, page.items), next_page_token=page.next_token)


service = Service(
    name="product",
    contract=pb.DESCRIPTOR.services_by_name["ProductService"],
    build=build,
    migrations=files("marketplace.product") / "migrations",
)
