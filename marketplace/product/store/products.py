"""The catalogue in SQL. Every change commits with its event."""

from collections.abc import Sequence

from shop.product.v1.product_pb2 import ProductChanged, ProductDeleted

from marketplace.product.domain.products import Cursor, Found, Listed, Listing, Product, Search
from marketplace.product.domain.words import folded
from marketplace.product.messages import timestamp, to_message
from marketplace.product.store import full_text, search
from marketplace.product.store.filters import SORT_COLUMNS, conditions_of
from souk.sdk import Outbox, Row, Transaction, Value

_COLUMNS = "id, name, description, category, price, currency, image_url, created_at, updated_at"
_ADD = f"""
    INSERT INTO products ({_COLUMNS}, sort_name) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (id) DO NOTHING"""
_CHANGE = """
    UPDATE products
    SET name = $2, description = $3, category = $4, price = $5, currency = $6, image_url = $7,
        created_at = $8, updated_at = $9, sort_name = $10
    WHERE id = $1"""


class ProductStore:
    """Stores the products that are for sale, in the caller's transaction; the events of a change commit with it.

    Changes of one product are serialised: each inserts, locks or deletes the product's row, which guards all that
    belongs to the product. A page starts right after `after` and holds at most `limit` products: while nothing
    changes, the pages of a list hold every product exactly once.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def add(self, tx: Transaction, product: Product) -> bool:
        """Adds a product; returns False and changes nothing when its id is taken."""
        if not await tx.execute(_ADD, *_values(product)):
            return False
        await self._changed(tx, product)
        return True

    async def lock(self, tx: Transaction, product_id: str) -> Product | None:
        """Locks a product and returns it; returns None when there is no such product."""
        sql = f"SELECT {_COLUMNS} FROM products WHERE id = $1 {tx.dialect.for_update}"
        row = await tx.fetch_one(sql, product_id)
        return _product(row) if row else None

    async def update(self, tx: Transaction, product: Product) -> None:
        """Stores a product that was locked and has changed."""
        await tx.execute(_CHANGE, *_values(product))
        await self._changed(tx, product)

    async def remove(self, tx: Transaction, product_id: str, now: int) -> bool:
        """Removes a product; returns False when there is no such product. `now` is in microseconds."""
        await full_text.forget(tx, product_id)
        row = await tx.fetch_one("DELETE FROM products WHERE id = $1 RETURNING updated_at", product_id)
        if row is None:
            return False
        deleted_at = timestamp(max(now, row["updated_at"] + 1))
        await self._outbox.publish(tx, product_id, ProductDeleted(product_id=product_id, deleted_at=deleted_at))
        return True

    async def page(self, tx: Transaction, after: str, limit: int) -> Sequence[Product]:
        """Returns at most `limit` products in the order of their ids, after the id `after`."""
        sql = f"SELECT {_COLUMNS} FROM products WHERE id > $1 ORDER BY id LIMIT $2"
        return [_product(row) for row in await tx.fetch(sql, after, limit)]

    async def count(self, tx: Transaction) -> int:
        """Returns how many products there are."""
        row = await tx.fetch_one("SELECT COUNT(*) AS n FROM products")
        return int(row["n"]) if row else 0

    async def find(self, tx: Transaction, product_ids: Sequence[str]) -> list[Product]:
        """Returns the products of these ids that exist, in no order."""
        if not product_ids:
            return []
        marks = ", ".join(f"${number}" for number in range(1, len(product_ids) + 1))
        sql = f"SELECT {_COLUMNS} FROM products WHERE id IN ({marks})"
        return [_product(row) for row in await tx.fetch(sql, *product_ids)]

    async def list(self, tx: Transaction, listing: Listing, after: Cursor | None, limit: int) -> Sequence[Listed]:
        """Returns a page of a listing, in its order."""
        sql, values = _listing(listing, after, limit)
        rows = await tx.fetch(sql, *values)
        return [Listed(_product(row), Cursor(row["sort_key"], row["id"])) for row in rows]

    async def search(self, tx: Transaction, wanted: Search, after: Cursor | None, limit: int) -> Found:
        """Returns a page of the products that contain every word, the last one as a prefix; facets; and suggestions.

        If no product does, words are also found by those that are an edit away from them, then by those that are two.
        """
        terms = await search.terms_of(tx, wanted.words)
        sql, values = search.page_of_matches(tx.dialect.name, _COLUMNS, terms, wanted.listing, after, limit)
        rows = await tx.fetch(sql, *values)
        listed = [Listed(_product(row), Cursor(row["sort_key"], row["id"])) for row in rows]
        return Found(listed, await search.facets_of(tx, terms, wanted.listing), await search.suggestions_of(tx, terms))

    async def _changed(self, tx: Transaction, product: Product) -> None:
        await full_text.index(tx, product)
        await self._outbox.publish(tx, product.id, ProductChanged(product=to_message(product)))


def _listing(listing: Listing, after: Cursor | None, limit: int) -> tuple[str, list[Value]]:
    column = SORT_COLUMNS[listing.sort.removeprefix("-")]
    direction, behind = ("DESC", "<") if listing.sort.startswith("-") else ("ASC", ">")
    values: list[Value] = []
    conditions = conditions_of(listing, values)
    if after is not None:
        values += [after.key, after.product_id]
        conditions.append(f"({column}, id) {behind} (${len(values) - 1}, ${len(values)})")
    values.append(limit)
    return (
        f"SELECT {_COLUMNS}, {column} AS sort_key FROM products WHERE {' AND '.join(conditions) or 'TRUE'} "
        f"ORDER BY {column} {direction}, id {direction} LIMIT ${len(values)}"
    ), values


def _values(product: Product) -> tuple[Value, ...]:
    return (
        product.id,
        product.name,
        product.description,
        product.category,
        product.price,
        product.currency,
        product.image_url,
        product.created_at,
        product.updated_at,
        folded(product.name),
    )


def _product(row: Row) -> Product:
    return Product(**{column: row[column] for column in _COLUMNS.split(", ")})
