"""Listing products, page by page."""

from dataclasses import dataclass

from marketplace.product.domain import Product
from marketplace.product.ports import Catalogue, Listing, Place
from marketplace.product.use_cases.page import Page, page_of
from souk.kernel.paging import decode_token, query_digest, require_same_query


@dataclass(frozen=True, slots=True)
class ListProducts:
    """Which products, how many, and from which token on."""

    listing: Listing
    page_size: int
    page_token: str | None = None


async def list_products(command: ListProducts, catalogue: Catalogue) -> Page[Product]:
    """A page of products; raises InvalidArgument for a token of another list."""
    listing = command.listing
    digest = query_digest("list", listing.sort, listing.category, listing.min_price, listing.max_price)
    after = _place(command.page_token, digest, listing.sort)
    found = await catalogue.list(listing, after, command.page_size + 1)
    return page_of(found, command.page_size, digest)


def _place(token: str | None, digest: str, sort: str) -> Place | None:
    if not token:
        return None
    kind = str if sort.endswith("name") else int
    bound_to, key, product_id = decode_token(token, (str, kind, str))
    require_same_query(bound_to, digest)
    return Place(key, str(product_id))
