"""The full-text indexes in SQL: FTS5 with bm25 in SQLite, tsvector with ts_rank_cd in PostgreSQL.

A match in the name weighs more than one in the category, and that more than one in the description. Scores are
scaled to integers, the best the smallest, so that a page can start right after one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from marketplace.product.domain.products import Product
from marketplace.product.domain.words import folded, words_of
from marketplace.product.store import vocabulary
from souk.sdk import Transaction

_SQLITE_FORGET = "DELETE FROM product_search WHERE rowid = (SELECT number FROM products WHERE id = $1)"
_SQLITE_INDEX = """
    INSERT INTO product_search (rowid, name, category, description)
    SELECT number, $2, $3, $4 FROM products WHERE id = $1"""
_POSTGRES_INDEX = """
    UPDATE products SET search =
        setweight(to_tsvector('simple', $2), 'A') || setweight(to_tsvector('simple', $3), 'B')
        || setweight(to_tsvector('simple', $4), 'D')
    WHERE id = $1"""

Terms = Sequence[Sequence[str]]
"""For each word of a query the words that may stand for it, the word itself first; its last word is a beginning."""


@dataclass(frozen=True, slots=True)
class FullText:
    """How an engine searches: SQL that gives the `hit` and, if it ranks, the `score` of each product that matches $1.

    `query(terms, in_name)` makes the value of $1, with `in_name` only for what the name contains. `key` is the column
    of `products` that a hit is; `filtered` adds conditions on products to the matches.
    """

    query: Callable[[Terms, bool], str]
    key: str
    hit: str
    score: str
    matches: str
    filtered: str
    order: str

    def some(self, conditions: Sequence[str], limit: int, *, ranked: bool = False) -> str:
        """Makes the SQL for at most `limit` matches of the query $1 whose products meet the conditions."""
        select = f"SELECT {self.hit}, {self.score}" if ranked else f"SELECT {self.hit}"
        also = self.filtered.format(" AND ".join(conditions)) if conditions else ""
        return f"{select} {self.matches} {also} {self.order} LIMIT {limit}"


def _fts5_query(terms: Terms, in_name: bool) -> str:
    words = [[f'"{word}"' for word in term] for term in terms]
    words[-1][0] += " *"
    query = " AND ".join(f"({' OR '.join(term)})" for term in words)
    return f"name : ({query})" if in_name else query


def _text_search_query(terms: Terms, in_name: bool) -> str:
    weight = ":A" if in_name else ""
    words = [[f"'{word}'{weight}" for word in term] for term in terms]
    words[-1][0] = f"'{terms[-1][0]}':*{weight[1:]}"
    return " & ".join(f"({' | '.join(term)})" for term in words)


_FTS5 = FullText(
    query=_fts5_query,
    key="number",
    hit="rowid AS hit",
    score="CAST(ROUND(bm25(product_search, 10.0, 4.0, 1.0) * 1e9) AS INTEGER) AS score",
    matches="FROM product_search WHERE product_search MATCH $1",
    # The plus keeps SQLite from running FTS5 again for each product of the category, which takes minutes.
    filtered="AND +rowid IN (SELECT number FROM products WHERE {})",
    order="",
)
_TEXT_SEARCH = FullText(
    query=_text_search_query,
    key="id",
    hit="id AS hit",
    score="CAST(ts_rank_cd(search, query)::float8 * -1e9 AS BIGINT) AS score",
    matches="FROM products, to_tsquery('simple', $1) AS query WHERE search @@ query",
    filtered="AND {}",
    order="ORDER BY id",
)


def full_text(dialect: str) -> FullText:
    """Returns how the engine of this dialect searches."""
    return _FTS5 if dialect == "sqlite" else _TEXT_SEARCH


async def index(tx: Transaction, product: Product) -> None:
    """Updates the index with a product as it is now."""
    await forget(tx, product.id)
    sql = _SQLITE_INDEX if tx.dialect.name == "sqlite" else _POSTGRES_INDEX
    texts = (product.name, product.category, product.description)
    await tx.execute(sql, product.id, *map(folded, texts))
    await vocabulary.learn(tx, [word for text in texts for word in words_of(text)])


async def forget(tx: Transaction, product_id: str) -> None:
    """Removes a product from the index; call it before the product's row is deleted."""
    if tx.dialect.name == "sqlite":
        await tx.execute(_SQLITE_FORGET, product_id)
