"""The limit of requests that run at once: pure, and told how late the event loop is.

It is changed by additive increase and multiplicative decrease (AIMD, as TCP's congestion window): each sample beyond
the target takes a tenth away of what runs, each sample within it adds a step while the limit is in use.
"""

TARGET = 0.05
"""Seconds by which the event loop may be late: below, a client hardly notices."""
LEAST = 16
"""The least limit: few requests cannot overload a gateway, whatever else makes the machine slow."""
_KEPT = 0.9
_STEP = 4
_IN_USE = 0.5


class AdaptiveLimit:
    """A limit of running requests, from LEAST, or less if `most` is, to `most`."""

    def __init__(self, most: int) -> None:
        self._most, self._least = most, min(LEAST, most)
        self.value = most

    def sample(self, lag: float, running: int) -> None:
        """Learns how late the event loop was, in seconds, and how many requests run."""
        if lag > TARGET:
            # From what runs: a limit far above it would take long to matter.
            self.value = max(self._least, int(min(self.value, max(running, 1)) * _KEPT))
        elif running >= self.value * _IN_USE:
            self.value = min(self._most, self.value + _STEP)
        elif self.value < self._most:
            self.value = min(self._most, self.value + 1)
