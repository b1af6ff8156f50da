"""Searching the catalogue, the best match first."""

from marketplace.product.domain import Product
from marketplace.product.ports import Catalogue, Place
from marketplace.product.use_cases.page import sort_key
from marketplace.product.words import query_words
from souk.kernel.paging import PageAsked


async def search_products(
    text: str, category: str | None, page: PageAsked, catalogue: Catalogue
) -> tuple[list[Product], str | None]:
    """A page of matches, and the token of the next one; text without any word matches nothing."""
    words = query_words(text)
    if not words:
        return [], None
    after = None if page.after is None else Place(page.after[0], str(page.after[1]))
    shown, token = page.cut(await catalogue.search(words, category, after, page.size + 1), sort_key)
    return [placed.product for placed in shown], token
