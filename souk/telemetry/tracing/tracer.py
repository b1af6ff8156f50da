"""Makes the spans of one service."""

from collections.abc import Sequence

from souk.kernel.clock import Clock
from souk.telemetry.traces import child_header, is_plain, new, parse
from souk.telemetry.tracing.sampling import HeadSampler
from souk.telemetry.tracing.span import AttributeValue, Span, SpanKind, SpanProcessor

_SAMPLED = "1"


class Tracer:
    """Makes the spans of the service `service`.

    Sampled spans go to `processor`; others to `unsampled`, which may keep them when they have ended, or nowhere.
    """

    def __init__(
        self,
        service: str,
        sampler: HeadSampler,
        clock: Clock,
        processor: SpanProcessor,
        unsampled: SpanProcessor | None = None,
    ) -> None:
        self.service = service
        self._sampler, self._clock = sampler, clock
        self._sampled, self._unsampled = processor, unsampled

    def start(
        self,
        name: str,
        kind: SpanKind,
        parent: str = "",
        attributes: dict[str, AttributeValue] | None = None,
        links: Sequence[str] = (),
    ) -> Span:
        """Begins a span under the one that the `traceparent` `parent` names; where it names none, a new trace.

        The span takes `attributes` as its own. Whoever begins a span must end it, however the work ends.
        """
        traceparent, parent_id = self._position(parent)
        processor = self._sampled if traceparent[-1] == _SAMPLED else self._unsampled
        given = {} if attributes is None else attributes
        return Span(self.service, name, kind, traceparent, parent_id, processor, self._clock, given, links)

    def _position(self, parent: str) -> tuple[str, str]:
        """Returns the `traceparent` of a new span, and the id of its parent; empty for the first span of a trace."""
        if not is_plain(parent):
            known = parse(parent) if parent else None
            if known is None:
                return self._decided(new().traceparent), ""
            parent = known.traceparent
        header = child_header(parent)
        return header if self._sampler.parent_based else self._decided(header), parent[36:52]

    def _decided(self, header: str) -> str:
        return f"{header[:53]}{'01' if self._sampler.decide(header[3:35]) else '00'}"
