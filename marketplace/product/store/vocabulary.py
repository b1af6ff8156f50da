"""The words of the catalogue by their trigrams: finds those that a mistyped word may have been meant to be.

Words are added with the products that have them, and stay when those change or go: a word that no product has costs
a row for each of its characters and finds nothing. One way on both engines: docs/decisions/0054.
"""

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from marketplace.product.store.typos import edits_allowed, edits_between, trigrams
from souk.sdk import Transaction

_VALUES = {"sqlite": "json_each($1)", "postgres": "json_array_elements_text(CAST($1 AS JSON))"}
_UNKNOWN = """
    SELECT value AS word FROM {values} WHERE NOT EXISTS (
        SELECT 1 FROM product_trigrams WHERE trigram = '  ' || substr(value, 1, 1) AND word = value)"""
_LEARN = """
    INSERT INTO product_trigrams (trigram, word)
    SELECT substr(value, 1, 3), substr(value, 4) FROM {values} WHERE TRUE ORDER BY value
    ON CONFLICT (trigram, word) DO NOTHING"""
_LIKE = """
    SELECT word FROM product_trigrams
    WHERE trigram IN (SELECT value FROM {values}) AND length(word) BETWEEN $2 AND $3
    GROUP BY word HAVING COUNT(*) >= $4 ORDER BY COUNT(*) DESC, length(word), word LIMIT $5"""

_COMPARED = 200
"""The most words that a mistyped one is compared with: those that share the most trigrams."""
_ALTERNATIVES = 16
_MOST_WORDS = 8
"""A query of more words is not looked up: it costs more, and means something else."""
_LOST_BY_AN_EDIT = 4
"""The most trigrams that one edit, a swap, can take from a word."""
_LONGEST = 64


class Near(NamedTuple):
    """A word of the catalogue, and the edits from what was typed."""

    edits: int
    word: str


async def learn(tx: Transaction, words: Sequence[str]) -> None:
    """Adds words, which contain letters and digits only."""
    rows = await tx.fetch(_sql(_UNKNOWN, tx), _json(sorted(set(words))))
    new = [trigram + row["word"] for row in rows for trigram in trigrams(row["word"])]
    if new:
        await tx.execute(_sql(_LEARN, tx), _json(sorted(new)))


async def words_near(tx: Transaction, words: Sequence[str]) -> list[list[Near]]:
    """Returns, for each word of a query, those of the catalogue that it may have been meant to be, the nearest first.

    The last word may be a beginning.
    """
    if len(words) > _MOST_WORDS:
        return [[] for _ in words]
    last = len(words) - 1
    return [await _near(tx, word, is_prefix=number == last) for number, word in enumerate(words)]


async def _near(tx: Transaction, typed: str, *, is_prefix: bool) -> list[Near]:
    allowed = edits_allowed(typed)
    if not allowed:
        return []
    shared = trigrams(typed, is_prefix=is_prefix)
    rows = await tx.fetch(
        _sql(_LIKE, tx),
        _json(shared),
        len(typed) - allowed,
        _LONGEST if is_prefix else len(typed) + allowed,
        max(1, len(shared) - allowed * _LOST_BY_AN_EDIT),
        _COMPARED,
    )
    compared = (Near(edits_between(typed, row["word"], is_prefix=is_prefix), row["word"]) for row in rows)
    return sorted(near for near in compared if near.edits <= allowed)[:_ALTERNATIVES]


def _sql(statement: str, tx: Transaction) -> str:
    return statement.format(values=_VALUES[tx.dialect.name])


def _json(values: Sequence[str]) -> str:
    return orjson.dumps(values).decode()
