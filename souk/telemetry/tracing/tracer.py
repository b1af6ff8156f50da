"""Makes the spans of one service."""

from collections.abc import Sequence

from souk.kernel.clock import Clock
from souk.telemetry.traces import TraceContext, below, child_of_plain, is_plain, new, parse
from souk.telemetry.tracing.sampling import HeadSampler
from souk.telemetry.tracing.share import TailShare
from souk.telemetry.tracing.span import (
    NO_ATTRIBUTES,
    Attributes,
    AttributeValue,
    Span,
    SpanKind,
    SpanProcessor,
    UnrecordedSpan,
)

_SAMPLED = "1"


class Tracer:
    """Makes the spans of the service `service`.

    Sampled spans go to `processor`; others to `unsampled`, which may keep them when they have ended, or nowhere. With a
    `share` those of traces that it leaves out are not recorded at all.
    """

    def __init__(
        self,
        service: str,
        sampler: HeadSampler,
        clock: Clock,
        processor: SpanProcessor,
        unsampled: SpanProcessor | None = None,
        share: TailShare | None = None,
    ) -> None:
        self.service = service
        self._sampler, self.clock = sampler, clock
        self._sampled, self._unsampled, self._share = processor, unsampled, share

    def start(
        self,
        name: str,
        kind: SpanKind,
        parent: str = "",
        attributes: dict[str, AttributeValue] | None = None,
        links: Sequence[str] = (),
        shared: Attributes = NO_ATTRIBUTES,
    ) -> Span:
        """Begins a span under the one that the `traceparent` `parent` names; where it names none, a new trace.

        The span takes `attributes` as its own, or copies `shared` once it needs some of its own. Whoever begins
        a span must end it, however the work ends.
        """
        if is_plain(parent) and self._sampler.parent_based:  # nearly always
            if parent[-1] != _SAMPLED and self._leaves_out(parent):
                return UnrecordedSpan(parent)
            traceparent = below(parent)
        else:
            traceparent, parent = self._position(parent)
            if traceparent[-1] != _SAMPLED and self._leaves_out(traceparent):
                return UnrecordedSpan(parent or traceparent)
        processor = self._sampled if traceparent[-1] == _SAMPLED else self._unsampled
        return Span(self.service, name, kind, traceparent, parent, processor, self.clock, attributes, links, shared)

    def start_at_edge(
        self,
        name: str,
        kind: SpanKind,
        here: TraceContext,
        parent: str,
        attributes: dict[str, AttributeValue],
        *,
        trusted: bool,
    ) -> Span:
        """Begins a span for what has come from outside, at its place `here`, which gets the decision of the sampler.

        `parent` is the `traceparent` that a client sent, if it did, under which `here` was made. Only of a `trusted`
        client the decision is followed; of any other only the trace's id is kept, or it could have all recorded.
        """
        known, sampler = parse(parent) if parent else None, self._sampler
        if known is None or not trusted or sampler.own_at_edge or not sampler.parent_based:
            here.sampled = sampler.decide(here.trace_id)
        processor = self._sampled if here.sampled else self._unsampled
        if not here.sampled and self._leaves_out(here.traceparent):
            processor = None
        above = "" if known is None else known.traceparent  # not what was sent, which may be long
        return Span(self.service, name, kind, here.traceparent, above, processor, self.clock, attributes)

    def _leaves_out(self, traceparent: str) -> bool:
        return self._share is not None and not self._share.has(traceparent)

    def _position(self, parent: str) -> tuple[str, str]:
        """Returns the `traceparent` of a new span, and that of its parent; empty for the first span of a trace."""
        header = child_of_plain(parent)
        if not header:
            known = parse(parent) if parent else None
            if known is None:
                return self._decided(new().traceparent), ""
            parent = known.traceparent
            header = child_of_plain(parent)
        return header if self._sampler.parent_based else self._decided(header), parent

    def _decided(self, header: str) -> str:
        return f"{header[:53]}{'01' if self._sampler.decide(header[3:35]) else '00'}"
