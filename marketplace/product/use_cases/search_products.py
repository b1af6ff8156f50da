"""Searching the catalogue."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from marketplace.product.deps import Deps
from marketplace.product.domain import NOTHING_FOUND, Facets, Listing, Product, Search
from marketplace.product.store.words import query_words
from marketplace.product.use_cases.read_products import cursor_of, cut
from souk.sdk import PageAsked


@dataclass(frozen=True, slots=True)
class SearchProducts:
    """Read a page of the products that match a text, with the filters and in the order of a listing."""

    text: str
    listing: Listing
    page: PageAsked


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """A page of products, the token of the next page, the facets of all matches, and suggestions."""

    products: Sequence[Product] = ()
    next_page: str | None = None
    facets: Facets = field(default=NOTHING_FOUND.facets)
    suggestions: Sequence[str] = ()


async def search_products(deps: Deps, query: SearchProducts) -> SearchAnswer:
    """Returns a page of matches; text without any word matches nothing."""
    page, wanted = query.page, Search(query_words(query.text), query.listing)
    if not wanted.words:
        return SearchAnswer()
    found = await deps.database.read(
        lambda tx: deps.products.search(tx, wanted, cursor_of(page), page.size + 1), long=True
    )
    return SearchAnswer(*cut(page, found.listed), found.facets, found.suggestions)
