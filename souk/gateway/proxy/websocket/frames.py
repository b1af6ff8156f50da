"""Where the frames of a WebSocket end (RFC 6455, 5.2), so that one can be put between two of them.

Only their lengths are read. What is in frames, and whether they are sound, is for the two ends.
"""

GOING_AWAY = b"\x88\x02\x03\xe9"
"""A server's frame that closes with code 1001: it stops (RFC 6455, 7.4.1)."""
_LONGER = {126: 2, 127: 8}
"""Octets of a longer length, by what stands in its place."""


class FrameBounds:
    """Follows the octets of one direction. `between` says that the last one ended a frame, or that there was none."""

    __slots__ = ("_head", "_left")

    def __init__(self) -> None:
        self._head, self._left = b"", 0

    @property
    def between(self) -> bool:
        return not self._left and not self._head

    def follow(self, data: bytes) -> int:
        """Follows octets; returns how many of them come up to the first end of a frame, all if none ends in them."""
        first, at = -1, 0
        while at < len(data):
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
            else:
                step = self._read_head(data[at : at + _size(self._head) - len(self._head)])
            at += step
            if first < 0 and self.between:
                first = at
        return len(data) if first < 0 else first

    def _read_head(self, part: bytes) -> int:
        self._head += part
        if len(self._head) == _size(self._head):
            short = self._head[1] & 0x7F
            long = _LONGER.get(short, 0)
            self._left = int.from_bytes(self._head[2 : 2 + long], "big") if long else short
            self._head = b""
        return len(part)


def _size(head: bytes) -> int:
    """Returns the octets of a whole head, as far as its beginning tells."""
    if len(head) < 2:  # the two octets that say how many more there are
        return 2
    return 2 + _LONGER.get(head[1] & 0x7F, 0) + (4 if head[1] & 0x80 else 0)
