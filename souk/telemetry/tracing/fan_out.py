"""Hands spans to several processors, each with an exporter of its own: one that hangs does not hold up another."""

from collections.abc import Sequence

from souk.telemetry.tracing.span import Span, SpanProcessor


class SpanFanOut:
    """Hands every span to each of `processors`."""

    def __init__(self, processors: Sequence[SpanProcessor]) -> None:
        self._processors = tuple(processors)

    def on_start(self, span: Span) -> None:
        """Hands on a span that has begun."""
        for one in self._processors:
            one.on_start(span)

    def on_end(self, span: Span) -> None:
        """Hands on a span that has ended."""
        for one in self._processors:
            one.on_end(span)
