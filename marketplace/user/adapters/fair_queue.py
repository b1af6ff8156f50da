"""A fair queue: the clients take turns, however many items each of them sends. Pure.

Source: Nagle, "On Packet Switches With Infinite Storage" (RFC 970): round robin over the senders.
"""

from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Holds at most `most` items, one line for each client. When it is full, the client with most items loses one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lines: OrderedDict[str, deque[T]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, client: str, item: T) -> T | None:
        """Adds an item at the end of its client's line.

        When the queue is full, the last item of the longest line is removed and returned; that may be the new
        one.
        """
        self._lines.setdefault(client, deque()).append(item)
        self._size += 1
        if self._size <= self._most:
            return None
        longest = max(self._lines, key=lambda name: (len(self._lines[name]), name == client))
        return self._taken(longest, from_end=True)

    def next(self) -> T | None:
        """Removes and returns the first item of the next client, which then goes behind all others; None if empty."""
        if not self._lines:
            return None
        client = next(iter(self._lines))
        item = self._taken(client)
        if client in self._lines:
            self._lines.move_to_end(client)
        return item

    def _taken(self, client: str, *, from_end: bool = False) -> T:
        line = self._lines[client]
        item = line.pop() if from_end else line.popleft()
        self._size -= 1
        if not line:
            del self._lines[client]
        return item
