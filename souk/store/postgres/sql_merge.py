"""Merges several statements of PostgreSQL into one, so that they need one round trip.

    INSERT INTO a ...; UPDATE b ...  ->  WITH w0 AS (INSERT INTO a ...) UPDATE b ...

All merged statements see the data as it was before the first, and their order is not defined. So only statements
that change different tables are merged, and none that names a table that another changes. To count the rows that
each changed, all of them go into the WITH, and a SELECT after it counts. Pure.
Source: PostgreSQL's manual, "Data-Modifying Statements in WITH".
"""

import re
from collections.abc import Sequence
from functools import lru_cache

_CHANGES = re.compile(r"\s*(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+(\w+)", re.IGNORECASE)
_RETURNING = re.compile(r"\bRETURNING\b", re.IGNORECASE)
_PARAMETER = re.compile(r"\$(\d+)")
_REMEMBERED = 1_024
NOT_LIKELY = "not as many rows as likely"
"""The text that a strict statement's error contains."""


@lru_cache(_REMEMBERED)
def changed_table(sql: str) -> str:
    """Returns the table that a statement changes; empty if it changes none, or begins with WITH itself."""
    found = _CHANGES.match(sql)
    return found[1].lower() if found else ""


@lru_cache(_REMEMBERED)
def can_be_counted(sql: str) -> bool:
    """Whether a statement changes a table and has no RETURNING, so that one can be added to count its rows."""
    return bool(changed_table(sql)) and not _RETURNING.search(sql)


@lru_cache(_REMEMBERED)
def go_together(earlier: Sequence[str], later: str) -> bool:
    """Whether `later` may be merged with all of `earlier`, each of which changes a table."""
    own = changed_table(later)
    return bool(own) and not any(_names(later, changed_table(sql)) or _names(sql, own) for sql in earlier)


@lru_cache(_REMEMBERED)
def sql_merge(statements: Sequence[str], values: Sequence[int]) -> str:
    """Merges the statements; `values` is the number of parameters of each, which are renumbered one after the other."""
    parts, before = [], 0
    for sql, count in zip(statements, values, strict=True):
        parts.append(_moved(sql, before))
        before += count
    *first, last = parts
    if not first:
        return last
    return f"WITH {', '.join(f'w{number} AS ({sql})' for number, sql in enumerate(first))} {last}"


@lru_cache(_REMEMBERED)
def counted(
    statements: Sequence[str], values: Sequence[int], expect_rows: Sequence[int | None], *, strict: bool
) -> str:
    """Merges the statements into one that counts the changed rows of each that has `expect_rows`.

    The columns are named cN by the position N of the statement. With `strict` the merged statement instead fails,
    with NOT_LIKELY, if a statement changes another number of rows than expected; then nothing is changed.
    """
    parts, before = [], 0
    for number, (sql, count, asked) in enumerate(zip(statements, values, expect_rows, strict=True)):
        returning = "" if asked is None else " RETURNING 1"
        parts.append(f"w{number} AS ({_moved(sql, before)}{returning})")
        before += count
    asked_for = [(number, asked) for number, asked in enumerate(expect_rows) if asked is not None]
    if strict:
        as_likely = " AND ".join(f"{_count(number)} = {asked}" for number, asked in asked_for)
        # The text cannot be cast to a number, so the statement fails, but only if the CASE reaches it.
        shown = f"CAST(CASE WHEN {as_likely} THEN '0' ELSE '{NOT_LIKELY}' END AS INTEGER)"
    else:
        shown = ", ".join(f"{_count(number)} AS c{number}" for number, _ in asked_for)
    return f"WITH {', '.join(parts)} SELECT {shown}"


def _count(number: int) -> str:
    return f"(SELECT count(*) FROM w{number})"


def _names(sql: str, table: str) -> bool:
    return re.search(rf"\b{re.escape(table)}\b", sql, re.IGNORECASE) is not None


def _moved(sql: str, by: int) -> str:
    return _PARAMETER.sub(lambda found: f"${int(found[1]) + by}", sql) if by else sql
