"""The Product service: its composition root, and the servicer that turns messages into commands."""

from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from typing import Any, TypeVar

import grpc.aio
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from shop.product.v1 import product_pb2 as pb
from shop.product.v1.product_pb2_grpc import ProductServiceServicer
from soukapi.v1.event_pb2 import Event

from marketplace.product.demo import load_demo
from marketplace.product.domain import Changes, Product
from marketplace.product.messages import to_message
from marketplace.product.ports import Catalogue, Listing
from marketplace.product.settings import CAN_BE_SET, read_settings
from marketplace.product.store import ProductStore
from marketplace.product.use_cases.create_product import CreateProduct, create_product
from marketplace.product.use_cases.delete_product import delete_product
from marketplace.product.use_cases.get_products import batch_get_products, get_product
from marketplace.product.use_cases.list_products import list_products
from marketplace.product.use_cases.search_products import search_products
from marketplace.product.use_cases.update_product import UpdateProduct, update_product
from souk.kernel.clock import Clock
from souk.kernel.paging import ANYBODY, page_of
from souk.runtime.service import Host, Parts, Service, Subscription
from souk.store.cache.read_cache import ReadCache

__all__ = ["ProductServicer", "build", "service"]

Context = grpc.aio.ServicerContext[Any, Any]
M = TypeVar("M", bound=Message)


class ProductServicer(ProductServiceServicer):
    """shop.product.v1.ProductService, over a catalogue.

    What is shown to buyers comes from a cache; what services ask, and so the price of an order, never does.
    """

    def __init__(self, catalogue: Catalogue, clock: Clock, cache: ReadCache) -> None:
        self._catalogue = catalogue
        self._clock = clock
        self._cache = cache

    async def ListProducts(self, request: pb.ListProductsRequest, context: Context) -> pb.ListProductsResponse:
        return await self._shown(request, pb.ListProductsResponse, lambda: self._list(request))

    async def SearchProducts(self, request: pb.SearchProductsRequest, context: Context) -> pb.ListProductsResponse:
        return await self._shown(request, pb.ListProductsResponse, lambda: self._search(request))

    async def GetProduct(self, request: pb.GetProductRequest, context: Context) -> pb.Product:
        return await self._shown(request, pb.Product, lambda: self._get(request))

    async def _list(self, request: pb.ListProductsRequest) -> pb.ListProductsResponse:
        listing = Listing(
            sort=_given(request, "sort") or "name",
            category=_given(request, "category"),
            min_price=_given(request, "min_price"),
            max_price=_given(request, "max_price"),
        )
        key = str if listing.sort.endswith("name") else int
        return _page(*await list_products(listing, page_of(request, (key, str), caller=ANYBODY), self._catalogue))

    async def _search(self, request: pb.SearchProductsRequest) -> pb.ListProductsResponse:
        page = page_of(request, (int, str), caller=ANYBODY)
        return _page(*await search_products(request.q, _given(request, "category"), page, self._catalogue))

    async def _get(self, request: pb.GetProductRequest) -> pb.Product:
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
        product = await create_product(command, self._catalogue, self._clock)
        await self._cache.changed()
        return to_message(product)

    async def UpdateProduct(self, request: pb.UpdateProductRequest, context: Context) -> pb.Product:
        changes = Changes(**{field: _given(request, field) for field in Changes.__slots__})
        command = UpdateProduct(request.id, changes)
        product = await update_product(command, self._catalogue, self._clock)
        await self._cache.changed()
        return to_message(product)

    async def DeleteProduct(self, request: pb.DeleteProductRequest, context: Context) -> Empty:
        await delete_product(request.id, self._catalogue)
        await self._cache.changed()
        return Empty()

    async def BatchGetProducts(
        self, request: pb.BatchGetProductsRequest, context: Context
    ) -> pb.BatchGetProductsResponse:
        found = await batch_get_products(request.ids, self._catalogue)
        return pb.BatchGetProductsResponse(products=map(to_message, found))

    async def _shown(self, request: Message, kind: type[M], load: Callable[[], Awaitable[M]]) -> M:
        key = request.DESCRIPTOR.name.encode() + request.SerializeToString(deterministic=True)
        return await self._cache.read(key, kind, load)


CACHE = "catalogue-cache"
"""The consumer that hears of changes whose own process died before it could say that the cache is stale."""


async def build(host: Host) -> Parts:
    """Puts the service together."""
    catalogue = ProductStore(host.database, host.outbox)
    kept = read_settings(host.settings)
    alone = host.database.dialect.name == "sqlite"
    cache = ReadCache(host.name, host.clock, host.redis, alone=alone, settings=kept)

    async def changed(event: Event) -> None:
        await cache.changed()

    return Parts(
        servicer=ProductServicer(catalogue, host.clock, cache),
        consumers={CACHE: changed},
        tasks={"catalogue cache": cache.run},
        demo=lambda: load_demo(catalogue, host.clock),
    )


def _given(request: Any, field: str) -> Any:
    return getattr(request, field) if request.HasField(field) else None


def _page(shown: Sequence[Product], token: str | None) -> pb.ListProductsResponse:
    return pb.ListProductsResponse(products=map(to_message, shown), next_page_token=token)


service = Service(
    name="product",
    contract=pb.DESCRIPTOR.services_by_name["ProductService"],
    build=build,
    migrations=files("marketplace.product") / "migrations",
    settings=CAN_BE_SET,
    subscriptions=(
        Subscription(CACHE, (pb.ProductChanged.DESCRIPTOR.full_name, pb.ProductDeleted.DESCRIPTOR.full_name)),
    ),
)
