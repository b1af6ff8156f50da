"""Locks by key: inside one process, work on the same key runs one after the other, or a few at once."""

import asyncio
from weakref import WeakValueDictionary


class KeyLocks:
    """A semaphore for each key that is in use: it lets in `at_once` holders, in the order in which they came.

    It excludes nothing between processes; there the database decides.
    """

    def __init__(self, at_once: int = 1) -> None:
        self._at_once = at_once
        self._locks: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @property
    def held(self) -> int:
        """The number of keys whose lock is in use."""
        return len(self._locks)

    def of(self, key: str) -> asyncio.Semaphore:
        """Returns the lock of a key; it exists as long as something refers to it."""
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Semaphore(self._at_once)
        return lock
