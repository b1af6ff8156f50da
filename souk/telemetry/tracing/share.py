"""Which of the traces that the head has not sampled are looked at by the tail: as many as cost little.

All of them while they have few spans. When there were more than `rate` spans in a second, of the traces that follow one
in two is looked at, or one in four, and so on. The id of a trace decides, so that processes under a like load look at
the same ones, and those of a smaller share are among those of a larger one.
"""

from souk.kernel.clock import Clock

_COUNTED = 64
"""So many spans are counted between two looks at the clock."""
_HIGHEST = 0xFFFF


class TailShare:
    """Decides for each span by the id of its trace. `left_out` counts the spans of traces that are not looked at."""

    __slots__ = ("_clock", "_count", "_mask", "_rate", "_since", "left_out")

    def __init__(self, rate: int, clock: Clock) -> None:
        self._rate, self._clock = rate, clock
        self._mask = self._count = self.left_out = 0
        self._since = clock.monotonic()

    def has(self, traceparent: str) -> bool:
        """Whether the trace that a valid `traceparent` names is looked at."""
        self._count += 1
        if self._count % _COUNTED == 0:
            self._measure()
        if not self._mask or not int(traceparent[31:35], 16) & self._mask:
            return True
        self.left_out += 1
        return False

    def _measure(self) -> None:
        now = self._clock.monotonic()
        took = now - self._since
        if took < 1.0:
            # A burst is not let through for a whole second.
            self._mask = max(self._mask, _mask(self._count / self._rate))
            return
        self._mask = _mask(self._count / took / self._rate)
        self._count, self._since = 0, now


def _mask(times: float) -> int:
    """Returns the bits of an id that must be zero, for a share of one in `times` traces at most."""
    wanted = 1
    while wanted < times:
        wanted *= 2
    return min(wanted - 1, _HIGHEST)
