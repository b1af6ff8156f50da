"""Reading products: by their ids, or a page of a listing."""

from collections.abc import Sequence
from dataclasses import dataclass

from marketplace.product.deps import Deps
from marketplace.product.domain.products import Cursor, Listed, Listing, Product, is_product_id, unknown_product
from souk.sdk import PageAsked

Page = tuple[list[Product], str | None]
"""A page of products, and the token of the next page."""


@dataclass(frozen=True, slots=True)
class GetProduct:
    """Read one product by its id."""

    id: str


@dataclass(frozen=True, slots=True)
class GetProducts:
    """Read products by their ids."""

    ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class ListProducts:
    """Read a page of a listing."""

    listing: Listing
    page: PageAsked


async def get_product(deps: Deps, query: GetProduct) -> Product:
    """Returns one product; raises PRODUCT_NOT_FOUND."""
    found = await get_products(deps, GetProducts([query.id]))
    if not found:
        raise unknown_product(query.id)
    return found[0]


async def get_products(deps: Deps, query: GetProducts) -> list[Product]:
    """Returns the products of these ids that exist, in no order."""
    ids = [known for known in dict.fromkeys(query.ids) if is_product_id(known)]
    return await deps.database.read(lambda tx: deps.products.find(tx, ids), single=True)


async def list_products(deps: Deps, query: ListProducts) -> Page:
    """Returns a page of a listing, in its order."""
    page = query.page
    found = await deps.database.read(
        lambda tx: deps.products.list(tx, query.listing, cursor_of(page), page.size + 1), long=True
    )
    return cut(page, found)


def cursor_of(page: PageAsked) -> Cursor | None:
    """Returns the position that a page begins after; None for the first page."""
    return None if page.after is None else Cursor(page.after[0], str(page.after[1]))


def cut(page: PageAsked, found: Sequence[Listed]) -> Page:
    """Returns the page of what was found, which may be one product more than asked for."""
    shown, token = page.cut(found, lambda listed: (listed.cursor.key, listed.cursor.product_id))
    return [listed.product for listed in shown], token
