"""Full-text search in SQL: FTS5 with bm25 in SQLite, tsvector with ts_rank_cd in PostgreSQL.

A match in the name weighs more than one in the category, and that more than one in the description. Scores are
scaled to integers, the best the smallest, so that a page can start right after one.
"""

from collections.abc import Sequence

from marketplace.product.domain import Cursor, Product
from marketplace.product.store.words import folded
from souk.sdk import Transaction, Value

_SQLITE_FORGET = "DELETE FROM product_search WHERE rowid = (SELECT number FROM products WHERE id = $1)"
_SQLITE_INDEX = """
    INSERT INTO product_search (rowid, name, category, description)
    SELECT number, $2, $3, $4 FROM products WHERE id = $1"""
_SQLITE_HITS = """
    SELECT rowid AS hit, CAST(ROUND(bm25(product_search, 10.0, 4.0, 1.0) * 1e9) AS INTEGER) AS score
    FROM product_search WHERE product_search MATCH $1 {of_category} LIMIT {most}"""
# The plus keeps SQLite from running FTS5 again for each product of the category, which takes minutes.
_SQLITE_CATEGORY = "AND +rowid IN (SELECT number FROM products WHERE category = $2)"

_POSTGRES_INDEX = """
    UPDATE products SET search =
        setweight(to_tsvector('simple', $2), 'A') || setweight(to_tsvector('simple', $3), 'B')
        || setweight(to_tsvector('simple', $4), 'D')
    WHERE id = $1"""
_POSTGRES_HITS = """
    SELECT id AS hit, CAST(ts_rank_cd(search, query)::float8 * -1e9 AS BIGINT) AS score
    FROM products, to_tsquery('simple', $1) AS query WHERE search @@ query {of_category} ORDER BY id LIMIT {most}"""
_POSTGRES_CATEGORY = "AND category = $2"

MOST_RANKED = 1_000
"""The most matches that are ranked: no one pages through more, and a word that all products contain stays cheap."""


async def index(tx: Transaction, product: Product) -> None:
    """Updates the index with a product as it is now."""
    await forget(tx, product.id)
    sql = _SQLITE_INDEX if tx.dialect.name == "sqlite" else _POSTGRES_INDEX
    await tx.execute(sql, product.id, *map(folded, (product.name, product.category, product.description)))


async def forget(tx: Transaction, product_id: str) -> None:
    """Removes a product from the index; call it before the product's row is deleted."""
    if tx.dialect.name == "sqlite":
        await tx.execute(_SQLITE_FORGET, product_id)


def page_of_matches(
    dialect: str, columns: str, words: Sequence[str], category: str | None, after: Cursor | None, limit: int
) -> tuple[str, list[Value]]:
    """Returns the statement for a page of matches, and its values. `words` contain letters and digits only."""
    sqlite = dialect == "sqlite"
    hits, key = (_SQLITE_HITS, "number") if sqlite else (_POSTGRES_HITS, "id")
    conditions, values = ["TRUE"], list[Value]([_match(words) if sqlite else _tsquery(words)])
    of_category = ""
    if category is not None:
        values.append(category)
        of_category = _SQLITE_CATEGORY if sqlite else _POSTGRES_CATEGORY
    hits = hits.format(of_category=of_category, most=MOST_RANKED)
    if after is not None:
        values += [after.key, after.product_id]
        conditions.append(f"(score, id) > (${len(values) - 1}, ${len(values)})")
    values.append(limit)
    # Materialised, because FTS5 can compute bm25 only while it scans its own index.
    return (
        f"WITH hits AS MATERIALIZED ({hits}) "
        f"SELECT {columns}, score FROM hits JOIN products ON {key} = hit "
        f"WHERE {' AND '.join(conditions)} ORDER BY score, id LIMIT ${len(values)}"
    ), values


def _match(words: Sequence[str]) -> str:
    return " AND ".join(f'"{word}"' for word in words) + " *"


def _tsquery(words: Sequence[str]) -> str:
    return " & ".join(f"'{word}'" for word in words) + ":*"
