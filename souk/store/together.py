"""Several statements of PostgreSQL as one, so that they need one round trip.

    INSERT INTO a ...; UPDATE b ...  ->  WITH w0 AS (INSERT INTO a ...) UPDATE b ...

All of them see the data as it was before the first, and their order is not given: so only statements
that change different tables go together, and none that names a table that another changes. Pure.
Source: PostgreSQL's manual, "Data-Modifying Statements in WITH".
"""

import re
from collections.abc import Sequence
from functools import lru_cache

_CHANGES = re.compile(r"\s*(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+(\w+)", re.IGNORECASE)
_PARAMETER = re.compile(r"\$(\d+)")
_REMEMBERED = 1_024


@lru_cache(_REMEMBERED)
def changed_table(sql: str) -> str:
    """The table that a statement changes; empty for one that changes none, or says WITH itself."""
    found = _CHANGES.match(sql)
    return found[1].lower() if found else ""


@lru_cache(_REMEMBERED)
def go_together(earlier: Sequence[str], later: str) -> bool:
    """Whether `later` may be one with all the `earlier`, each of which changes a table."""
    own = changed_table(later)
    return bool(own) and not any(_names(later, changed_table(sql)) or _names(sql, own) for sql in earlier)


@lru_cache(_REMEMBERED)
def together(statements: Sequence[str], values: Sequence[int]) -> str:
    """One statement; `values` says how many each has, and its parameters are numbered on."""
    parts, before = [], 0
    for sql, count in zip(statements, values, strict=True):
        parts.append(_moved(sql, before))
        before += count
    *first, last = parts
    if not first:
        return last
    return f"WITH {', '.join(f'w{number} AS ({sql})' for number, sql in enumerate(first))} {last}"


def _names(sql: str, table: str) -> bool:
    return re.search(rf"\b{re.escape(table)}\b", sql, re.IGNORECASE) is not None


def _moved(sql: str, by: int) -> str:
    return _PARAMETER.sub(lambda found: f"${int(found[1]) + by}", sql) if by else sql
