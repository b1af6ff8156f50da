"""What a product is, and what may be said about one. No I/O."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from souk.kernel.errors import DomainError, InvalidArgument, Violation

PRODUCT_NOT_FOUND = "PRODUCT_NOT_FOUND"
PRODUCT_EXISTS = "PRODUCT_EXISTS"

MAX_PRICE = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_MAX_NAME, _MAX_DESCRIPTION, _MAX_CATEGORY, _MAX_URL = 200, 5_000, 50, 2_000


@dataclass(frozen=True, slots=True)
class Product:
    """Something for sale. `price` is in minor units; times are microseconds since 1970."""

    id: str
    name: str
    description: str
    category: str
    price: int
    currency: str
    image_url: str | None
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What to change of a product; None stays as it is, an empty `image_url` takes the picture away."""

    name: str | None = None
    description: str | None = None
    category: str | None = None
    price: int | None = None
    currency: str | None = None
    image_url: str | None = None


def checked(product: Product) -> Product:
    """The product itself; raises InvalidArgument with everything that is wrong with it."""
    violations = list(_violations(product))
    if violations:
        raise InvalidArgument(violations)
    return product


def changed(product: Product, changes: Changes, now: int) -> Product:
    """The product after the changes, checked; the very same when nothing is different."""
    given = {name: value for name in Changes.__slots__ if (value := getattr(changes, name)) is not None}
    if given.get("image_url") == "":
        given["image_url"] = None
    new = replace(product, **given)
    return product if new == product else checked(replace(new, updated_at=now))


def is_product_id(text: str) -> bool:
    """Whether a product can have this id at all."""
    return _ID.fullmatch(text) is not None


def is_category(text: str) -> bool:
    """Whether a product can have this category."""
    return _is_line(text, _MAX_CATEGORY)


def unknown_product(product_id: str) -> DomainError:
    """The refusal for a product that is not in the catalogue."""
    return DomainError(PRODUCT_NOT_FOUND, f"there is no product {product_id[:64]!r}")


def _violations(product: Product) -> Iterator[Violation]:
    if not is_product_id(product.id):
        yield Violation("id", "must be 1 to 64 letters, digits, dots, hyphens or underscores")
    if not _is_line(product.name, _MAX_NAME):
        yield Violation("name", f"must be one line of 1 to {_MAX_NAME} characters")
    if len(product.description) > _MAX_DESCRIPTION or not _is_clean(product.description, "\n\t"):
        yield Violation("description", f"must be text of at most {_MAX_DESCRIPTION} characters")
    if not is_category(product.category):
        yield Violation("category", f"must be one line of 1 to {_MAX_CATEGORY} characters")
    if not 0 <= product.price <= MAX_PRICE:
        yield Violation("price", f"must be 0 to {MAX_PRICE}, in minor units")
    if not _CURRENCY.fullmatch(product.currency):
        yield Violation("currency", "must be three capital letters (ISO 4217)")
    if product.image_url is not None and not _is_web_address(product.image_url):
        yield Violation("image_url", f"must be an http or https address of at most {_MAX_URL} characters")


def _is_line(text: str, longest: int) -> bool:
    return 0 < len(text) <= longest and bool(text.strip()) and _is_clean(text)


def _is_clean(text: str, allowed: str = "") -> bool:
    return all(char in allowed or unicodedata.category(char) not in ("Cc", "Cs") for char in text)


def _is_web_address(text: str) -> bool:
    if len(text) > _MAX_URL or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


Change = Callable[[Product], Product]
