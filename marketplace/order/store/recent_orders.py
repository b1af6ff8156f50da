"""What this process did a moment ago, so that it need not ask its database for it again."""

from typing import Generic, TypeVar

from cachetools import FIFOCache

V = TypeVar("V")
MOST = 1_024


class RecentOrders(Generic[V]):
    """Something of the last orders by their ids, at most `most`. What is gone from here is still in the database."""

    def __init__(self, most: int = MOST) -> None:
        self._values: FIFOCache[str, V] = FIFOCache(most)

    def get(self, key: str) -> V | None:
        """The value, if it is here still."""
        return self._values.get(key)

    def keep(self, key: str, value: V) -> None:
        """Keeps a value; the one that was kept the longest makes room for it."""
        self._values[key] = value

    def drop(self, key: str) -> None:
        """Forgets a value that turned out to be old."""
        self._values.pop(key, None)
