"""What Product needs of the outside: a search engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from marketplace.product.domain.products import Cursor, Facets, Product, Search
from souk.sdk import SoukError


class SearchUnavailable(SoukError, ConnectionError):
    """The engine cannot do it now: it is away, slow, red or full, or has no index yet. `reason` is one word of each.

    It is a ConnectionError, so that an event waits.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class ProductRefused(SoukError):
    """The engine refuses a product as it is, such as for a conflict with the mapping of its index."""


@dataclass(frozen=True, slots=True)
class IndexChange:
    """A product as it is at a `version`, in microseconds since 1970; without `product` it was deleted."""

    product_id: str
    version: int
    product: Product | None


@dataclass(frozen=True, slots=True)
class EnginePage:
    """A page of the products that a search finds, by their positions; the facets; and suggestions."""

    cursors: Sequence[Cursor]
    facets: Facets
    suggestions: Sequence[str]


class SearchEngine(Protocol):
    """An index of the catalogue in a search engine. Every call raises SearchUnavailable.

    A change is never undone by one with a smaller version, nor by one with the same: a product that was deleted does
    not come back. What `write` has returned for outlives a crash of the engine; it is found after a second or so.

    A new index is built beside the one in use: after `begin`, `write` reaches both, until `switch`. Each has a name
    that no index has had before. Only one is built at a time.
    """

    name: str

    async def search(self, wanted: Search, after: Cursor | None, limit: int) -> EnginePage:
        """Returns a page; words are corrected when nothing has them as they are.

        By relevance the key of a position is above 0, which no database's is.
        """
        ...

    async def write(self, changes: Sequence[IndexChange]) -> Sequence[ProductRefused | None]:
        """Writes changes of different products; returns for each why it was refused, or None."""
        ...

    async def versions(self, product_ids: Sequence[str]) -> Mapping[str, int]:
        """Returns the versions of those of these products that are in the index that is searched."""
        ...

    async def live(self) -> str | None:
        """Returns the name of the index that is searched, if there is one."""
        ...

    async def building(self) -> str | None:
        """Returns the name of the index that is being built, if there is one."""
        ...

    async def begin(self, generation: int) -> str:
        """Makes a new, empty index, and deletes one that was begun; returns its name."""
        ...

    async def fill(self, changes: Sequence[IndexChange]) -> None:
        """Writes changes to the new index alone. Raises ProductRefused."""
        ...

    async def switch(self, generation: int) -> None:
        """Makes the new index the one that is searched, in one step, and deletes the one before.

        Nothing changes when the new index is not of this generation, or was switched to before.
        """
        ...

    async def close(self) -> None:
        """Closes the connections."""
        ...
