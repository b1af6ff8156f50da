"""Searching the catalogue, the best match first."""

from dataclasses import dataclass

from marketplace.product.domain import Product
from marketplace.product.ports import Catalogue, Place
from marketplace.product.use_cases.page import Page, page_of
from marketplace.product.words import query_words
from souk.kernel.paging import decode_token, query_digest, require_same_query


@dataclass(frozen=True, slots=True)
class SearchProducts:
    """What was typed, how many to show, and from which token on."""

    text: str
    category: str | None
    page_size: int
    page_token: str | None = None


async def search_products(command: SearchProducts, catalogue: Catalogue) -> Page[Product]:
    """A page of matches; text without any word matches nothing. Raises InvalidArgument for a wrong token."""
    words = query_words(command.text)
    digest = query_digest("search", " ".join(words), command.category)
    after = _place(command.page_token, digest)
    if not words:
        return Page(())
    found = await catalogue.search(words, command.category, after, command.page_size + 1)
    return page_of(found, command.page_size, digest)


def _place(token: str | None, digest: str) -> Place | None:
    if not token:
        return None
    bound_to, score, product_id = decode_token(token, (str, int, str))
    require_same_query(bound_to, digest)
    return Place(score, str(product_id))
