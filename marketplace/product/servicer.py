"""Turns requests of the contract into commands, and results into messages."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import grpc.aio
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from shop.product.v1 import product_pb2 as pb
from shop.product.v1.product_pb2_grpc import ProductServiceServicer

from marketplace.product.deps import Deps
from marketplace.product.domain.products import RELEVANCE, Changes, Listing, Product
from marketplace.product.messages import facets_message, to_message
from marketplace.product.ports import SearchUnavailable
from marketplace.product.use_cases.create_product import CreateProduct, create_product
from marketplace.product.use_cases.delete_product import DeleteProduct, delete_product
from marketplace.product.use_cases.read_products import (
    GetProduct,
    GetProducts,
    ListProducts,
    get_product,
    get_products,
    list_products,
)
from marketplace.product.use_cases.search_products import (
    SearchAnswer,
    SearchProducts,
    began_in_engine,
    search_in_engine,
    search_products,
)
from marketplace.product.use_cases.update_product import UpdateProduct, update_product
from souk.sdk import SHARED_LIST, PageAsked, page_of

DATABASE = "database"
Context = grpc.aio.ServicerContext[Any, Any]
M = TypeVar("M", bound=Message)


class ProductServicer(ProductServiceServicer):
    """Serves shop.product.v1.ProductService.

    Reads by buyers are answered from a cache; reads by services, and so the prices of orders, never are.
    """

    def __init__(self, deps: Deps, count_search: Callable[[str, str], None] = lambda _backend, _reason: None) -> None:
        self._deps, self._count_search = deps, count_search

    async def ListProducts(self, request: pb.ListProductsRequest, context: Context) -> pb.ListProductsResponse:
        return await self._shown(request, pb.ListProductsResponse, lambda: self._list(request))

    async def SearchProducts(self, request: pb.SearchProductsRequest, context: Context) -> pb.SearchProductsResponse:
        backend, reason = DATABASE, ""
        found = None
        try:
            found = await self._search_in_engine(request)
        except SearchUnavailable as error:
            reason = error.reason
        if found is None:
            found = await self._shown(request, pb.SearchProductsResponse, lambda: self._search(request))
        elif self._deps.engine is not None:
            backend = self._deps.engine.name
        self._count_search(backend, reason)
        shown = f"{backend}; reason={reason}" if reason else backend
        context.set_trailing_metadata((("x-search-backend", shown),))
        return found

    async def GetProduct(self, request: pb.GetProductRequest, context: Context) -> pb.Product:
        return await self._shown(request, pb.Product, lambda: self._get(request))

    async def _list(self, request: pb.ListProductsRequest) -> pb.ListProductsResponse:
        query = ListProducts(*_wanted(request, "name"))
        return _page(*await list_products(self._deps, query))

    async def _search(self, request: pb.SearchProductsRequest) -> pb.SearchProductsResponse:
        query = SearchProducts(request.q, *_wanted(request, RELEVANCE))
        return _found(await search_products(self._deps, query))

    async def _search_in_engine(self, request: pb.SearchProductsRequest) -> pb.SearchProductsResponse | None:
        """Returns what the engine finds; None when there is none, and for a page after one that the database gave.

        It is not cached: the index follows a change later, and the engine has caches of its own.
        """
        query, engine = SearchProducts(request.q, *_wanted(request, RELEVANCE)), self._deps.engine
        if engine is None or began_in_engine(query) is False:
            return None
        return _found(await search_in_engine(self._deps, engine, query))

    async def _get(self, request: pb.GetProductRequest) -> pb.Product:
        return to_message(await get_product(self._deps, GetProduct(request.id)))

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
        product = await create_product(self._deps, command)
        await self._deps.cache.changed()
        return to_message(product)

    async def UpdateProduct(self, request: pb.UpdateProductRequest, context: Context) -> pb.Product:
        changes = Changes(**{field: _given(request, field) for field in Changes.__slots__})
        command = UpdateProduct(request.id, changes)
        product = await update_product(self._deps, command)
        await self._deps.cache.changed()
        return to_message(product)

    async def DeleteProduct(self, request: pb.DeleteProductRequest, context: Context) -> Empty:
        await delete_product(self._deps, DeleteProduct(request.id))
        await self._deps.cache.changed()
        return Empty()

    async def BatchGetProducts(
        self, request: pb.BatchGetProductsRequest, context: Context
    ) -> pb.BatchGetProductsResponse:
        found = await get_products(self._deps, GetProducts(request.ids))
        return pb.BatchGetProductsResponse(products=map(to_message, found))

    async def _shown(self, request: Message, kind: type[M], load: Callable[[], Awaitable[M]]) -> M:
        key = request.DESCRIPTOR.name.encode() + request.SerializeToString(deterministic=True)
        return await self._deps.cache.read(key, kind, load)


def _given(request: Any, field: str) -> Any:
    return getattr(request, field) if request.HasField(field) else None


def _wanted(request: pb.ListProductsRequest | pb.SearchProductsRequest, usual: str) -> tuple[Listing, PageAsked]:
    listing = Listing(
        sort=_given(request, "sort") or usual,
        category=_given(request, "category"),
        min_price=_given(request, "min_price"),
        max_price=_given(request, "max_price"),
    )
    key = str if listing.sort.endswith("name") else int
    return listing, page_of(request, (key, str), caller=SHARED_LIST)


def _page(shown: Sequence[Product], token: str | None) -> pb.ListProductsResponse:
    return pb.ListProductsResponse(products=map(to_message, shown), next_page_token=token)


def _found(answer: SearchAnswer) -> pb.SearchProductsResponse:
    return pb.SearchProductsResponse(
        products=map(to_message, answer.products),
        next_page_token=answer.next_page,
        facets=facets_message(answer.facets),
        suggestions=answer.suggestions,
    )
