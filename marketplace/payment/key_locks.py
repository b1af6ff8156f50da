"""Calls with the same key go one after the other, inside one process."""

import asyncio
from weakref import WeakValueDictionary


class KeyLocks:
    """A lock for each key that somebody holds or waits for; between processes the database decides."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, key: str) -> asyncio.Lock:
        """The lock of a key; it lives as long as somebody refers to it."""
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        return lock
