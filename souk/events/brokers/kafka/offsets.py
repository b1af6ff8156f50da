"""What of a partition may be committed: everything before the first event that is still in hand."""

from collections import deque


class OffsetTracker:
    """Follows the events of one partition from when they are taken until they were handled, in any order.

    One belongs to one assignment of the partition: after the partition was taken away, a handler that still ends
    reaches a tracker that nobody asks any more.
    """

    def __init__(self) -> None:
        self._in_hand: deque[int] = deque()
        self._handled: set[int] = set()
        self._last = -1
        self._position: int | None = None
        self._requested: int | None = None

    @property
    def in_hand(self) -> int:
        """How many events were taken that do not lie before the position yet."""
        return len(self._in_hand)

    @property
    def position(self) -> int | None:
        """The offset to commit, which is that of the next event to handle; None before any was handled."""
        return self._position

    def follows(self, offset: int) -> bool:
        """Whether this offset lies behind all that were taken; if not, the log was cut or read again."""
        return offset > self._last

    def take(self, offset: int) -> None:
        """Records that the event at this offset is in hand. There may be gaps, but offsets always rise."""
        if not self.follows(offset):
            raise ValueError(f"offset {offset} was taken after {self._last}")
        self._last = offset
        self._in_hand.append(offset)

    def handled(self, offset: int) -> None:
        """Records that the event at this offset was handled."""
        self._handled.add(offset)
        while self._in_hand and self._in_hand[0] in self._handled:
            first = self._in_hand.popleft()
            self._handled.remove(first)
            self._position = first + 1

    def to_commit(self) -> int | None:
        """Returns the offset to commit, if it was not returned before; see `commit_failed`."""
        if self._position == self._requested:
            return None
        self._requested = self._position
        return self._position

    def commit_failed(self) -> None:
        """Says that the last commit did not succeed, so that it is made again."""
        self._requested = None
