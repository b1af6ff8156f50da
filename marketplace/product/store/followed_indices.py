"""The indices of a search engine that have had every change since they were begun, by name.

A change that is handled without an engine reaches none: then no index follows the catalogue any more, and the one that
is there has to be built anew. A name is never used twice, so one of an engine that was used before is not taken for it.
"""

from souk.sdk import Transaction


async def followed(tx: Transaction) -> frozenset[str]:
    """Returns the names."""
    return frozenset([row["name"] for row in await tx.fetch("SELECT name FROM followed_indices")])


async def follow(tx: Transaction, name: str) -> None:
    """Adds an index that was begun just now."""
    await tx.execute("INSERT INTO followed_indices (name) VALUES ($1) ON CONFLICT (name) DO NOTHING", name)


async def forget_others(tx: Transaction, name: str) -> None:
    """Forgets all but this one, which the others were replaced by."""
    await tx.execute("DELETE FROM followed_indices WHERE name <> $1", name)


async def forget_all(tx: Transaction) -> None:
    """Records that a change has reached no index."""
    await tx.execute("DELETE FROM followed_indices")
