"""Runs: each start of the system, with a name that people can say."""

import sqlite3
from collections.abc import Iterator
from itertools import count
from random import Random

_FIRST = (
    "amber", "bold", "brisk", "calm", "clear", "coral", "crisp", "early", "fair", "fresh", "gentle", "golden", "green",
    "jolly", "keen", "light", "lively", "lucky", "mellow", "misty", "noble", "plain", "quick", "quiet", "rapid",
    "ready", "silver", "sunny", "swift", "tidy", "warm", "wide",
)  # fmt: skip
_SECOND = (
    "anchor", "apple", "barley", "basket", "bazaar", "bridge", "canal", "cedar", "copper", "cotton", "date", "ferry",
    "fig", "garden", "ginger", "harbour", "honey", "lantern", "lemon", "market", "olive", "orchard", "pepper", "plum",
    "quay", "river", "saffron", "sail", "spice", "stall", "tea", "walnut",
)  # fmt: skip


def run_of(tx: sqlite3.Connection, key: str, now: int) -> int:
    """Returns the run of this key; the first time it gets a name."""
    found = tx.execute("SELECT id FROM runs WHERE key = ?", (key,)).fetchone()
    if found is not None:
        return int(found[0])
    taken = {row[0] for row in tx.execute("SELECT name FROM runs")}
    name = next(one for one in _names(key) if one not in taken)
    row = tx.execute("INSERT INTO runs (key, name, began, seen) VALUES (?, ?, ?, ?)", (key, name, now, now))
    return int(row.lastrowid or 0)


def _names(key: str) -> Iterator[str]:
    """Gives names for a key, each another one: those of the words first."""
    random = Random(key)
    for _ in range(20):
        yield f"{random.choice(_FIRST)}-{random.choice(_SECOND)}"
    base = f"{random.choice(_FIRST)}-{random.choice(_SECOND)}"
    yield from (f"{base}-{number}" for number in count(2))
