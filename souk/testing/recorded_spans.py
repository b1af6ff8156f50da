"""Keeps spans that have ended in memory, for tests of what is recorded."""

import asyncio

from souk.kernel.clock import Clock, SystemClock
from souk.telemetry.tracing.sampling import HeadSampler, always_on
from souk.telemetry.tracing.span import Span
from souk.telemetry.tracing.tracer import Tracer


class RecordedSpans:
    """A span processor that keeps what has ended, in order; `open` counts those that have begun and not ended."""

    def __init__(self) -> None:
        self.ended: list[Span] = []
        self.open = 0
        self._none_open = asyncio.Event()

    async def settled(self) -> None:
        """Waits until no span is open: a server's may end after its client has the answer."""
        while self.open:
            self._none_open.clear()
            await self._none_open.wait()

    def on_start(self, span: Span) -> None:
        """Counts a span that has begun."""
        self.open += 1

    def on_end(self, span: Span) -> None:
        """Keeps a span that has ended."""
        self.open -= 1
        self.ended.append(span)
        if not self.open:
            self._none_open.set()

    def tracer(self, service: str, clock: Clock | None = None, sampler: HeadSampler | None = None) -> Tracer:
        """Makes a tracer whose spans are kept here."""
        return Tracer(service, sampler or HeadSampler(always_on), clock or SystemClock(), self)

    def edges(self) -> set[tuple[str, str]]:
        """Returns the edges from parent to child, each as "service KIND name"; a parent from elsewhere is empty."""
        shown = {one.span_id: f"{one.service} {one.kind.name} {one.name}" for one in self.ended}
        return {(shown.get(one.parent_id, ""), shown[one.span_id]) for one in self.ended}
