"""Listing products, page by page."""

from marketplace.product.domain import Product
from marketplace.product.ports import Catalogue, Listing, Place
from marketplace.product.use_cases.page import sort_key
from souk.kernel.paging import PageAsked


async def list_products(listing: Listing, page: PageAsked, catalogue: Catalogue) -> tuple[list[Product], str | None]:
    """A page of products, and the token of the next one."""
    after = None if page.after is None else Place(page.after[0], str(page.after[1]))
    shown, token = page.cut(await catalogue.list(listing, after, page.size + 1), sort_key)
    return [placed.product for placed in shown], token
