"""The catalogue in SQL. Every change commits together with its event."""

from collections.abc import Sequence

from shop.product.v1.product_pb2 import ProductChanged, ProductDeleted

from marketplace.product.domain import Change, Cursor, Listed, Listing, Product
from marketplace.product.messages import to_message
from marketplace.product.store import search
from marketplace.product.store.words import folded
from souk.sdk import Database, Outbox, Row, Transaction, Value

_COLUMNS = "id, name, description, category, price, currency, image_url, created_at, updated_at"
_ADD = f"""
    INSERT INTO products ({_COLUMNS}, sort_name) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (id) DO NOTHING"""
_CHANGE = """
    UPDATE products
    SET name = $2, description = $3, category = $4, price = $5, currency = $6, image_url = $7,
        created_at = $8, updated_at = $9, sort_name = $10
    WHERE id = $1"""
_SORT_COLUMNS = {"name": "sort_name", "price": "price", "createdAt": "created_at"}


class ProductStore:
    """Stores the products that are for sale.

    Each change is one transaction, and its event commits with it. Changes of one product are serialised: each
    inserts, locks or deletes the product's row, which guards all that belongs to the product. A page starts
    right after `after` and holds at most `limit` products: while nothing changes, the pages of a list hold
    every product exactly once.
    """

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def add(self, product: Product) -> bool:
        """Adds a product; returns False and changes nothing when its id is taken."""

        async def work(tx: Transaction) -> bool:
            if not await tx.execute(_ADD, *_values(product)):
                return False
            await self._changed(tx, product)
            return True

        return await self._database.run(work, guarded=True)

    async def change(self, product_id: str, change: Change) -> Product | None:
        """Replaces a product by the result of `change`; returns None when there is no such product.

        `change` may be called again. When it returns the product unchanged, no event is published.
        """

        async def work(tx: Transaction) -> Product | None:
            sql = f"SELECT {_COLUMNS} FROM products WHERE id = $1 {tx.dialect.for_update}"
            row = await tx.fetch_one(sql, product_id)
            if row is None:
                return None
            old = _product(row)
            new = change(old)
            if new != old:
                await tx.execute(_CHANGE, *_values(new))
                await self._changed(tx, new)
            return new

        return await self._database.run(work, guarded=True)

    async def remove(self, product_id: str) -> bool:
        """Removes a product; returns False when there is no such product."""

        async def work(tx: Transaction) -> bool:
            await search.forget(tx, product_id)
            if not await tx.execute("DELETE FROM products WHERE id = $1", product_id):
                return False
            await self._outbox.publish(tx, product_id, ProductDeleted(product_id=product_id))
            return True

        return await self._database.run(work, guarded=True)

    async def find(self, product_ids: Sequence[str]) -> list[Product]:
        """Returns the products of these ids that exist, in no order."""

        if not product_ids:
            return []
        marks = ", ".join(f"${number}" for number in range(1, len(product_ids) + 1))
        sql = f"SELECT {_COLUMNS} FROM products WHERE id IN ({marks})"
        rows = await self._database.read(lambda tx: tx.fetch(sql, *product_ids), single=True)
        return [_product(row) for row in rows]

    async def list(self, listing: Listing, after: Cursor | None, limit: int) -> Sequence[Listed]:
        """Returns a page of a listing, in its order."""

        sql, values = _listing(listing, after, limit)
        rows = await self._database.read(lambda tx: tx.fetch(sql, *values), long=True)
        return [Listed(_product(row), Cursor(row["sort_key"], row["id"])) for row in rows]

    async def search(
        self, words: Sequence[str], category: str | None, after: Cursor | None, limit: int
    ) -> Sequence[Listed]:
        """Returns a page of the products that contain every word, the last one as a prefix; the best match first."""

        dialect = self._database.dialect.name
        sql, values = search.page_of_matches(dialect, _COLUMNS, words, category, after, limit)
        rows = await self._database.read(lambda tx: tx.fetch(sql, *values), long=True)
        return [Listed(_product(row), Cursor(row["score"], row["id"])) for row in rows]

    async def _changed(self, tx: Transaction, product: Product) -> None:
        await search.index(tx, product)
        await self._outbox.publish(tx, product.id, ProductChanged(product=to_message(product)))


def _listing(listing: Listing, after: Cursor | None, limit: int) -> tuple[str, list[Value]]:
    column = _SORT_COLUMNS[listing.sort.removeprefix("-")]
    direction, behind = ("DESC", "<") if listing.sort.startswith("-") else ("ASC", ">")
    conditions, values = ["TRUE"], list[Value]()
    for condition, value in (
        ("category = $%d", listing.category),
        ("price >= $%d", listing.min_price),
        ("price <= $%d", listing.max_price),
    ):
        if value is not None:
            values.append(value)
            conditions.append(condition % len(values))
    if after is not None:
        values += [after.key, after.product_id]
        conditions.append(f"({column}, id) {behind} (${len(values) - 1}, ${len(values)})")
    values.append(limit)
    return (
        f"SELECT {_COLUMNS}, {column} AS sort_key FROM products WHERE {' AND '.join(conditions)} "
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
