"""Bulkhead: so many calls to one service run, so many wait, the rest is turned away.

Pure: it decides who runs; whoever waits does so elsewhere, until the deadline. Sources: Michael
Nygard, "Release It!"; resilience4j, "Bulkhead".
"""

from collections.abc import Hashable
from enum import Enum
from typing import Generic, TypeVar

W = TypeVar("W", bound=Hashable)


class Entry(Enum):
    """What becomes of a call that arrives."""

    RUN = "run"
    WAIT = "wait"
    FULL = "full"


class Bulkhead(Generic[W]):
    """Lets `running` calls run and `waiting` calls wait; those that wait are let in in order.

    Each call that was let in leaves once; each that waits is let in by somebody's `leave`, or gives up.
    """

    def __init__(self, running: int = 256, waiting: int = 1024) -> None:
        self._most_running = running
        self._most_waiting = waiting
        self._queue: dict[W, None] = {}
        self.running = 0

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._queue)

    def try_enter(self) -> bool:
        """Enters if there is room at once."""
        if self.running >= self._most_running:
            return False
        self.running += 1
        return True

    def arrive(self, waiter: W) -> Entry:
        """Enters, or queues as `waiter`, or neither."""
        if self.try_enter():
            return Entry.RUN
        if len(self._queue) >= self._most_waiting:
            return Entry.FULL
        self._queue[waiter] = None
        return Entry.WAIT

    def give_up(self, waiter: W) -> bool:
        """No longer waits; false if `waiter` was let in meanwhile, and so has to leave."""
        if waiter not in self._queue:
            return False
        del self._queue[waiter]
        return True

    def leave(self) -> W | None:
        """A running call has ended. Returns who is let in for it: that one runs from now on."""
        if not self._queue:
            self.running -= 1
            return None
        waiter = next(iter(self._queue))
        del self._queue[waiter]
        return waiter
