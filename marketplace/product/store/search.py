"""Searches the catalogue by its full-text index: matches, facets, suggestions, and words that were mistyped."""

from collections import Counter
from collections.abc import Sequence

from marketplace.product.domain.products import (
    MOST_CATEGORIES,
    MOST_SUGGESTIONS,
    PRICE_RANGES,
    RELEVANCE,
    Cursor,
    Facets,
    Listing,
)
from marketplace.product.store.filters import SORT_COLUMNS, conditions_of
from marketplace.product.store.full_text import Terms, full_text
from marketplace.product.store.vocabulary import words_near
from souk.sdk import Transaction, Value

MOST_RANKED = 1_000
"""The most matches that are ranked: no one pages through more, and a word that all products contain stays cheap."""
MOST_COUNTED = 10_000
"""The most matches that are counted or sorted by another column, which is cheaper."""
_MOST_EDITS = 2

_SOME = "SELECT 1 AS one FROM ({hits}) AS hits"
# Materialised, because FTS5 can compute bm25 only while it scans its own index.
_PAGE = """
    WITH hits AS MATERIALIZED ({hits})
    SELECT {columns}, {key} AS sort_key FROM hits JOIN products ON products.{join} = hit
    WHERE {where} ORDER BY {key} {direction}, id {direction} LIMIT ${limit}"""
_FACETS = """
    WITH hits AS MATERIALIZED ({hits}),
    found AS MATERIALIZED (SELECT category, price FROM hits JOIN products ON products.{join} = hit)
    SELECT category, 0 AS min_price, COUNT(*) AS count FROM found WHERE {in_price} GROUP BY category
    UNION ALL SELECT NULL, {min_price}, COUNT(*) FROM found WHERE {in_category} GROUP BY 2"""
_SUGGESTIONS = """
    WITH hits AS MATERIALIZED ({hits})
    SELECT name, MIN(score) AS best FROM hits JOIN products ON products.{join} = hit
    GROUP BY name ORDER BY best, name LIMIT {most}"""
_MIN_PRICE = " ".join(
    ("CASE", *(f"WHEN price >= {one.min_price} THEN {one.min_price}" for one in reversed(PRICE_RANGES)), "END")
)


async def terms_of(tx: Transaction, words: Sequence[str]) -> Terms:
    """Returns the words to search for: those that were typed or, if nothing has them, also those that are like them.

    Words that need fewer edits come first. `words` contain letters and digits only.
    """
    typed = [[word] for word in words]
    if await _is_found(tx, typed):
        return typed
    near = await words_near(tx, words)
    for edits in range(1, _MOST_EDITS + 1):
        wider = [
            [word, *(one.word for one in some if one.word != word and one.edits <= edits)]
            for word, some in zip(words, near, strict=True)
        ]
        if await _is_found(tx, wider):
            return wider
    return typed


async def _is_found(tx: Transaction, terms: Terms) -> bool:
    engine = full_text(tx.dialect.name)
    return await tx.fetch_one(_SOME.format(hits=engine.some((), 1)), engine.query(terms, False)) is not None


def page_of_matches(
    dialect: str, columns: str, terms: Terms, wanted: Listing, after: Cursor | None, limit: int
) -> tuple[str, list[Value]]:
    """Returns the statement for a page of matches with their `sort_key`, and its values."""
    engine, ranked = full_text(dialect), wanted.sort == RELEVANCE
    values: list[Value] = [engine.query(terms, False)]
    hits = engine.some(conditions_of(wanted, values), MOST_RANKED if ranked else MOST_COUNTED, ranked=ranked)
    key = "score" if ranked else SORT_COLUMNS[wanted.sort.removeprefix("-")]
    direction, behind = ("DESC", "<") if wanted.sort.startswith("-") else ("ASC", ">")
    where = "TRUE"
    if after is not None:
        values += [after.key, after.product_id]
        where = f"({key}, id) {behind} (${len(values) - 1}, ${len(values)})"
    values.append(limit)
    parts = {"hits": hits, "columns": columns, "key": key, "join": engine.key, "where": where, "direction": direction}
    return _PAGE.format(**parts, limit=len(values)), values


async def facets_of(tx: Transaction, terms: Terms, wanted: Listing) -> Facets:
    """Counts the matches by category and by price."""
    engine = full_text(tx.dialect.name)
    values: list[Value] = [engine.query(terms, False)]
    sql = _FACETS.format(
        hits=engine.some((), MOST_COUNTED),
        join=engine.key,
        in_price=" AND ".join(conditions_of(wanted, values, of="price")) or "TRUE",
        in_category=" AND ".join(conditions_of(wanted, values, of="category")) or "TRUE",
        min_price=_MIN_PRICE,
    )
    categories: Counter[str] = Counter()
    prices: Counter[int] = Counter()
    for row in await tx.fetch(sql, *values):
        if row["category"] is None:
            prices[row["min_price"]] = row["count"]
        else:
            categories[row["category"]] = row["count"]
    return Facets(
        dict(sorted(categories.items(), key=lambda one: (-one[1], one[0]))[:MOST_CATEGORIES]),
        {one: prices[one.min_price] for one in PRICE_RANGES},
    )


async def suggestions_of(tx: Transaction, terms: Terms) -> Sequence[str]:
    """Returns the names of products that contain the terms, the best first."""
    engine = full_text(tx.dialect.name)
    hits = engine.some((), MOST_RANKED, ranked=True)
    sql = _SUGGESTIONS.format(hits=hits, join=engine.key, most=MOST_SUGGESTIONS)
    return [row["name"] for row in await tx.fetch(sql, engine.query(terms, True))]
