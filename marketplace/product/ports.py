"""What the catalogue's use cases need, in their words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from marketplace.product.domain import Change, Product

SORTS = ("name", "-name", "price", "-price", "createdAt", "-createdAt")
"""The orders in which products can be listed; a minus turns one round."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Which products, and in which of the SORTS; None does not filter. Prices are inclusive."""

    sort: str = "name"
    category: str | None = None
    min_price: int | None = None
    max_price: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A row's place in a sorted list: its sort key, and its id to tell equals apart."""

    key: str | int
    product_id: str


@dataclass(frozen=True, slots=True)
class Placed:
    """A product and its place in the list it was found in."""

    product: Product
    place: Place


class Catalogue(Protocol):
    """The products that are for sale.

    Each change is one transaction, and the event that tells of it commits with it. Changes of one
    product are serialised. A page starts right behind `after` and holds at most `limit` products:
    while nothing changes, going from place to place meets every product exactly once.
    """

    async def add(self, product: Product) -> bool:
        """Adds a product; False, and nothing happens, when its id is taken."""
        ...

    async def change(self, product_id: str, change: Change) -> Product | None:
        """Replaces a product by what `change` makes of it; None when it is unknown.

        `change` may be called again. Nothing is told when it returns the product as it was.
        """
        ...

    async def remove(self, product_id: str) -> bool:
        """Takes a product out; False when it is unknown."""
        ...

    async def find(self, product_ids: Sequence[str]) -> list[Product]:
        """The known ones among these, in no order."""
        ...

    async def list(self, listing: Listing, after: Place | None, limit: int) -> Sequence[Placed]:
        """A page of a listing, in its order."""
        ...

    async def search(
        self, words: Sequence[str], category: str | None, after: Place | None, limit: int
    ) -> Sequence[Placed]:
        """Products that hold every word, the last one as a beginning; the best match first."""
        ...
