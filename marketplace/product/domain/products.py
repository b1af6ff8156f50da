"""Products, and how they are listed and changed. No I/O."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from souk.sdk import DomainError

PRODUCT_NOT_FOUND = "PRODUCT_NOT_FOUND"
PRODUCT_EXISTS = "PRODUCT_EXISTS"

_ID = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Product:
    """A product for sale. `price` is in minor units; times are microseconds since 1970."""

    id: str
    name: str
    description: str
    category: str
    price: int
    currency: str
    image_url: str | None
    created_at: int
    updated_at: int


SORTS = ("name", "-name", "price", "-price", "createdAt", "-createdAt")
"""The orders in which products can be listed; a minus means descending."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A listing: its filters, where None does not filter, and its order, one of SORTS. Prices are inclusive."""

    sort: str = "name"
    category: str | None = None
    min_price: int | None = None
    max_price: int | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position of a row in a sorted list: its sort key, and its id to order equal keys."""

    key: str | int
    product_id: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A product, and its position in the list that it was found in."""

    product: Product
    cursor: Cursor


RELEVANCE = "relevance"
"""The order of a search unless it asks for one of SORTS: the best match first."""


@dataclass(frozen=True, slots=True)
class Search:
    """A search: its words, which contain letters and digits only and of which the last may be a beginning; and its
    filters and order, one of SORTS or RELEVANCE."""

    words: Sequence[str]
    listing: Listing = field(default_factory=lambda: Listing(sort=RELEVANCE))


@dataclass(frozen=True, slots=True)
class PriceRange:
    """A range of prices that facets count, inclusive, in minor units; None has no end."""

    min_price: int
    max_price: int | None


PRICE_RANGES = (
    PriceRange(0, 999),
    PriceRange(1_000, 2_499),
    PriceRange(2_500, 4_999),
    PriceRange(5_000, 9_999),
    PriceRange(10_000, None),
)
MOST_CATEGORIES = 100
"""The most categories that facets name."""
MOST_SUGGESTIONS = 5


@dataclass(frozen=True, slots=True)
class Facets:
    """How many products a search finds in each category, without its filter of the category, and in each of
    PRICE_RANGES, without its filter of the price."""

    categories: Mapping[str, int]
    prices: Mapping[PriceRange, int]


@dataclass(frozen=True, slots=True)
class Found:
    """A page of a search's products; its facets; and names of products that its words may be meant to become."""

    listed: Sequence[Listed]
    facets: Facets
    suggestions: Sequence[str] = ()


NOTHING_FOUND = Found((), Facets({}, dict.fromkeys(PRICE_RANGES, 0)))
"""What a search without any word finds."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes of a product: None leaves a value as it is, an empty `image_url` removes the picture."""

    name: str | None = None
    description: str | None = None
    category: str | None = None
    price: int | None = None
    currency: str | None = None
    image_url: str | None = None


def changed(product: Product, changes: Changes, now: int) -> Product:
    """Returns the product after the changes; the same object when nothing differs. `now` is in microseconds.

    The time of the change is after that of the one before, whatever the clock shows: an index orders changes by it.
    """
    given = {name: value for name in Changes.__slots__ if (value := getattr(changes, name)) is not None}
    if given.get("image_url") == "":
        given["image_url"] = None
    new = replace(product, **given)
    return product if new == product else replace(new, updated_at=max(now, product.updated_at + 1))


def is_product_id(text: str) -> bool:
    """Tells whether the text has the form of a product id."""
    return _ID.fullmatch(text) is not None


def unknown_product(product_id: str) -> DomainError:
    """Makes the refusal for a product that is not in the catalogue."""
    return DomainError(PRODUCT_NOT_FOUND, f"there is no product {product_id[:64]!r}")
