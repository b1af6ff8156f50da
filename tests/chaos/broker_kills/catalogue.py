"""The catalogue of a run, and how the search index follows it.

An order changes nothing in the index. So for each order that is answered, a product of its own changes: as many updates
of the index as orders, and each can be told from the others.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from souk.testing.servers.opensearch import OpenSearchServer
from tests.market.books import Books
from tests.market.shop import Shop

INDEX = "products"
OLD_PRICE, NEW_PRICE = 1_000, 1_500
_AT_ONCE, _PAGE = 4, 500
_POLL = 0.02

Documents = dict[str, tuple[int, dict[str, Any]]]
"""The version and the content of each document, by its id."""


def search_url(engine: OpenSearchServer) -> str:
    """Makes the URL by which a system uses this engine."""
    return f"{engine.url.replace('http', 'opensearch')}?index={INDEX}"


class Catalogue:
    """Products, each of which gets another name and another price once, while the run goes on."""

    def __init__(self, shop: Shop, engine: OpenSearchServer, products: int) -> None:
        self._shop, self._engine, self._number = shop, engine, products
        self._ids: Sequence[str] = ()
        self.changed: list[str] = []
        """The products that were changed so far."""

    def fill(self) -> None:
        """Adds the products."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            self._ids = list(pool.map(self._add, range(self._number)))

    def _add(self, number: int) -> str:
        return self._shop.product(OLD_PRICE, 0, name=f"Samovar {number}")

    async def follow(self, answered: Callable[[], int]) -> None:
        """Changes one product for each order that is answered, and returns when all are changed."""
        for number, product in enumerate(self._ids):
            while answered() <= number:
                await asyncio.sleep(_POLL)
            await asyncio.to_thread(self._change, product, number)

    def _change(self, product: str, number: int) -> None:
        new = {"name": f"Urn {number}", "price": NEW_PRICE}
        self._shop.admin.ok("PATCH", f"/api/v1/products/{product}", json=new)
        self.changed.append(product)

    def stale(self, books: Books) -> list[str]:
        """Gives the products whose document is missing, or differs in version, name or price from the database."""
        sql = "SELECT id, name, price, updated_at FROM products"
        rows = {row["id"]: row for row in books.rows("product", sql)}
        found = self._documents(list(rows))
        as_stored = {name: (row["updated_at"], row["name"], row["price"]) for name, row in rows.items()}
        indexed = {
            name: (version, content["shown_name"], content["price"]) for name, (version, content) in found.items()
        }
        return sorted(name for name, stored in as_stored.items() if indexed.get(name) != stored)

    def _documents(self, ids: Sequence[str]) -> Documents:
        found: Documents = {}
        for start in range(0, len(ids), _PAGE):
            url, body = f"{self._engine.url}/{INDEX}/_mget", {"ids": ids[start : start + _PAGE]}
            answer = httpx.post(url, json=body, timeout=60.0, trust_env=False).raise_for_status().json()
            found |= {one["_id"]: (one["_version"], one["_source"]) for one in answer["docs"] if one.get("found")}
        return found
