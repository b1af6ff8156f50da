"""Limits on what costs a client of HTTP/2 next to nothing and this side work: resets, pings, settings, empty frames.

Source: RFC 9113, 10.5; the attacks are known as rapid reset, ping flood, settings flood and empty frames flood.
"""

MOST_STREAMS = 100
"""Requests of one connection at once, those included that the client has given up and that still run here."""
WINDOW = 1024 * 1024
"""Octets of request bodies that a connection may send ahead of the application, all its streams together."""
_BURST = 500.0
_A_SECOND = 100.0


class FrameBudget:
    """Frames without use that a connection may still send: a bucket that fills again with time."""

    def __init__(self, now: float) -> None:
        self._left, self._filled = _BURST, now

    def spend(self, now: float) -> bool:
        """Counts one such frame at the time `now`, in seconds. Returns whether there was room for it."""
        self._left = min(_BURST, self._left + max(0.0, now - self._filled) * _A_SECOND)
        self._filled = now
        self._left -= 1
        return self._left >= 0
