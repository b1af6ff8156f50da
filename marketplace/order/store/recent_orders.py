"""A cache of what this process has just written, so that it need not read it from the database."""

from typing import Generic, TypeVar

from cachetools import FIFOCache

V = TypeVar("V")
MOST = 1_024


class RecentOrders(Generic[V]):
    """Caches a value for each of the last `most` orders, by order id. An evicted value is still in the database."""

    def __init__(self, most: int = MOST) -> None:
        self._values: FIFOCache[str, V] = FIFOCache(most)

    def get(self, key: str) -> V | None:
        """Returns the value, if it is still cached."""
        return self._values.get(key)

    def keep(self, key: str, value: V) -> None:
        """Caches a value; the oldest one is evicted for it."""
        self._values[key] = value

    def drop(self, key: str) -> None:
        """Removes a value that is out of date."""
        self._values.pop(key, None)
