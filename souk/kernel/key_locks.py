"""Calls with the same key go one after the other, or few at once, inside one process."""

import asyncio
from weakref import WeakValueDictionary


class KeyLocks:
    """A lock for each key that somebody holds or waits for, which lets `at_once` in, in the order in which they came.

    Between processes the database decides.
    """

    def __init__(self, at_once: int = 1) -> None:
        self._at_once = at_once
        self._locks: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @property
    def held(self) -> int:
        """How many keys somebody holds or waits for."""
        return len(self._locks)

    def of(self, key: str) -> asyncio.Semaphore:
        """The lock of a key; it lives as long as somebody refers to it."""
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Semaphore(self._at_once)
        return lock
