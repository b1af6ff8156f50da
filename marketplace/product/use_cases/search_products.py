"""Searching the catalogue."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from marketplace.product.deps import Deps
from marketplace.product.domain.products import NOTHING_FOUND, RELEVANCE, Facets, Listing, Product, Search
from marketplace.product.domain.words import query_words
from marketplace.product.ports import SearchEngine
from marketplace.product.use_cases.read_products import cursor_of, cut
from souk.sdk import InvalidArgument, PageAsked, Violation


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


async def search_in_engine(deps: Deps, engine: SearchEngine, query: SearchProducts) -> SearchAnswer:
    """Returns a page of matches that the engine finds, as the products are now. Raises SearchUnavailable."""
    page, wanted = query.page, Search(query_words(query.text), query.listing)
    if not wanted.words:
        return SearchAnswer()
    found = await engine.search(wanted, cursor_of(page), page.size + 1)
    shown, token = page.cut(found.cursors, lambda cursor: (cursor.key, cursor.product_id))
    ids = [cursor.product_id for cursor in shown]
    known = await deps.database.read(lambda tx: deps.products.find(tx, ids), single=True)
    products = {product.id: product for product in known}
    return SearchAnswer([products[one] for one in ids if one in products], token, found.facets, found.suggestions)


def began_in_engine(query: SearchProducts) -> bool | None:
    """Tells who gave the page before: the engine or the database; None for the first page, and where both agree.

    Scores do not: one of an engine is above 0, and one of a database is not.
    """
    page = query.page
    if page.after is None or query.listing.sort != RELEVANCE:
        return None
    return int(page.after[0]) > 0


async def search_products(deps: Deps, query: SearchProducts) -> SearchAnswer:
    """Returns a page of matches that the database finds; text without any word matches nothing."""
    page, wanted = query.page, Search(query_words(query.text), query.listing)
    if not wanted.words:
        return SearchAnswer()
    if began_in_engine(query):
        detail = "is of the search engine, which does not answer now: begin the search again"
        raise InvalidArgument([Violation("page_token", detail)])
    found = await deps.database.read(
        lambda tx: deps.products.search(tx, wanted, cursor_of(page), page.size + 1), long=True
    )
    return SearchAnswer(*cut(page, found.listed), found.facets, found.suggestions)
