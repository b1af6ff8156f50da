"""Tail sampling inside one process: keeps what turns out to be worth it of traces that the head has not sampled.

Spans of such traces wait here when they have ended. When one of them has a reason (it failed, was slow, was sent again,
or took something back), all spans of its trace that wait here are exported, and those that end later as well. The
others are forgotten after `hold` seconds, or earlier when more than `most` spans wait.

What it cannot do: another process decides for itself, by its own spans, and one that found nothing remarkable has
forgotten them; so the rest of a trace may be missing. What took longer than `hold` before it failed has lost its start.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from souk.kernel.clock import Clock
from souk.telemetry.tracing.span import Span, SpanProcessor

SLOW = "slow"
KEPT_FOR = "souk.sampling.reason"
"""The attribute of the span for which a trace was kept."""


@dataclass(frozen=True, slots=True)
class TailLimits:
    """A span is `slow` from so many seconds on; spans wait for `hold` seconds, and `most` of them at most."""

    slow: float = 1.0
    hold: float = 10.0
    most: int = 10_000


class _Waiting:
    """The spans of the trace `id` that wait, since `began`. Without spans, `kept`: its trace is exported."""

    __slots__ = ("began", "id", "kept", "spans")

    def __init__(self, id_: str, began: float) -> None:
        self.id, self.began, self.kept = id_, began, False
        self.spans: list[Span] = []


class TailSampler:
    """A span processor in front of another one, `processor`, which gets the spans of the traces that are kept.

    `kept` and `forgotten` count spans.
    """

    def __init__(self, processor: SpanProcessor, clock: Clock, limits: TailLimits | None = None) -> None:
        self.kept = self.forgotten = 0
        self._processor, self._clock, self._limits = processor, clock, limits or TailLimits()
        self._slow, self._most = self._limits.slow, self._limits.most
        self._traces: dict[str, _Waiting] = {}
        self._oldest: deque[_Waiting] = deque()  # the same ones: a dict is slow to find its first entry
        self._count = 0

    def on_start(self, span: Span) -> None:
        """Does nothing: a trace is judged by what has ended."""

    def on_end(self, span: Span) -> None:
        """Keeps a span waiting, or exports it with its trace."""
        trace_id = span.traceparent[3:35]
        waiting = self._traces.get(trace_id)
        if waiting is None:
            self._make_room(span.ended)
            waiting = self._traces[trace_id] = _Waiting(trace_id, span.ended)
            self._oldest.append(waiting)
        if span.ended - span.started >= self._slow and not span.streaming and not span.reason:
            span.reason = SLOW
        if not span.reason and not waiting.kept:
            if self._count >= self._most:  # one trace may have filled all the room
                self.forgotten += 1
                return
            waiting.spans.append(span)
            self._count += 1
            return
        if span.reason:
            span.attributes[KEPT_FOR] = span.reason
        self._export((*waiting.spans, span))
        self._count -= len(waiting.spans)
        waiting.kept, waiting.spans = True, []

    def _export(self, spans: Iterable[Span]) -> None:
        for one in spans:
            self.kept += 1
            self._processor.on_end(one)

    def _make_room(self, now: float) -> None:
        """Forgets the traces whose time is over, and the oldest ones while too many spans wait."""
        traces, oldest, limits = self._traces, self._oldest, self._limits
        over = now - limits.hold
        while oldest:
            waiting = oldest[0]
            if waiting.began > over and self._count < limits.most and len(traces) < limits.most:
                return
            del traces[oldest.popleft().id]
            self._count -= len(waiting.spans)
            self.forgotten += len(waiting.spans)
