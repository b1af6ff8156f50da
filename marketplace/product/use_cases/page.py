"""A page, and the token that leads to the next one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from marketplace.product.domain import Product
from marketplace.product.ports import Placed
from souk.kernel.paging import encode_token

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list; `next_token` is None on the last page."""

    items: tuple[T, ...]
    next_token: str | None = None


def page_of(found: Sequence[Placed], size: int, digest: str) -> Page[Product]:
    """The page, made of one row more than it shows: that row says whether there are more."""
    shown = found[:size]
    products = tuple(placed.product for placed in shown)
    if len(found) <= size:
        return Page(products)
    last = shown[-1].place
    return Page(products, encode_token(digest, last.key, last.product_id))
