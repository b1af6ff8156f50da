"""The newest spans of this process, kept in memory for whoever reads them: bounded, and never in the way of a request.

Nothing is sent: a reader that hangs costs nothing but spans, which newer ones push out, and which are counted. A
reader says how far it has come. Positions count the spans of one ring, so a reader also names the ring: that of a
process which was started again is another one.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from uuid import uuid4

from souk.telemetry.tracing.span import Span

KEPT = 4_096
"""Spans that are kept: those of eight seconds of a process that records 500 spans a second."""


@dataclass(frozen=True, slots=True)
class SpansRead:
    """Spans that have ended, in that order. `position` is where the next read begins; `lost` counts the spans that
    were pushed out before this read, since the position that it began at. `more` says that others wait already."""

    ring: str
    position: int
    lost: int
    more: bool
    spans: Sequence[Span]


class SpanRing:
    """A span processor that keeps the `most` newest spans that have ended; `recorded` counts all of them."""

    def __init__(self, most: int = KEPT) -> None:
        self.id = uuid4().hex
        self.recorded = 0
        self._spans: deque[Span] = deque(maxlen=most)

    def on_start(self, span: Span) -> None:
        """Does nothing: only spans that have ended are kept."""

    def on_end(self, span: Span) -> None:
        """Keeps a span."""
        self._spans.append(span)
        self.recorded += 1

    def read(self, ring: str, position: int, most: int) -> SpansRead:
        """Reads `most` spans from a position of the ring `ring` on.

        A position of another ring, or one that this ring has not come to, counts as its beginning.
        """
        begin = position if ring == self.id and 0 <= position <= self.recorded else 0
        oldest = self.recorded - len(self._spans)
        first = max(begin, oldest)
        found = list(islice(self._spans, first - oldest, first - oldest + max(0, most)))
        upto = first + len(found)
        return SpansRead(self.id, upto, first - begin, upto < self.recorded, found)
