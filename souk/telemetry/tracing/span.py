"""A span: one piece of work of a trace, in OpenTelemetry's data model."""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Protocol, TypeAlias

from souk.kernel.clock import Clock

AttributeValue: TypeAlias = str | int | float | bool | Sequence[str]
Attributes: TypeAlias = Mapping[str, AttributeValue]


NO_ATTRIBUTES: Attributes = {}


class SpanKind(IntEnum):
    """What a span is to the spans beside it; the numbers are those of OpenTelemetry's API."""

    INTERNAL = 0
    SERVER = 1
    CLIENT = 2
    PRODUCER = 3
    CONSUMER = 4


class SpanProcessor(Protocol):
    """Where spans go. Both methods are called on the path of a request: they never block and never raise."""

    def on_start(self, span: "Span") -> None:
        """Takes note of a span that has begun."""
        ...

    def on_end(self, span: "Span") -> None:
        """Takes a span that has ended; it does not change any more."""
        ...


class Span:
    """A span that runs, or has run. `traceparent` names it to what it calls, `parent` is that of its parent, or empty.

    It begins with `attributes`, which are its own then, or with those that it has in common with others (`shared`).
    `links` are the `traceparent` of spans that caused it without being its parent. `started` and `ended` are
    monotonic seconds; `ended` is 0 until it ends. `error` describes why it failed; empty if it did not. `reason` says
    why a tail sampler is to keep its trace; empty if it need not. A `streaming` one may be long.
    A span without a processor is not recorded: it exists only to be named.
    """

    __slots__ = (
        "_attributes",
        "_shared",
        "clock",
        "ended",
        "error",
        "kind",
        "links",
        "name",
        "parent",
        "processor",
        "reason",
        "service",
        "started",
        "streaming",
        "traceparent",
        "tracestate",
    )

    def __init__(
        self,
        service: str,
        name: str,
        kind: SpanKind,
        traceparent: str,
        parent: str,
        processor: SpanProcessor | None,
        clock: Clock,
        attributes: dict[str, AttributeValue] | None = None,
        links: Sequence[str] = (),
        shared: Attributes = NO_ATTRIBUTES,
    ) -> None:
        self.service, self.name, self.kind = service, name, kind
        self.traceparent, self.parent = traceparent, parent
        self.processor, self.clock = processor, clock
        self._attributes, self._shared, self.links = attributes, shared, links
        self.started, self.ended = clock.monotonic(), 0.0
        self.error = self.reason = self.tracestate = ""
        self.streaming = False
        if processor is not None:
            processor.on_start(self)

    @property
    def attributes(self) -> dict[str, AttributeValue]:
        """Its own attributes, which may be changed until it has ended. One that only shares others' gets a copy now."""
        own = self._attributes
        if own is None:
            own = self._attributes = dict(self._shared)
        return own

    @property
    def trace_id(self) -> str:
        """The id of its trace: 32 hexadecimal digits."""
        return self.traceparent[3:35]

    @property
    def parent_id(self) -> str:
        """The id of its parent; empty for the first span of a trace."""
        return self.parent[36:52]

    @property
    def span_id(self) -> str:
        """Its own id: 16 hexadecimal digits."""
        return self.traceparent[36:52]

    def end_sharing(self, attributes: Attributes) -> None:
        """Ends it well, with attributes that others have, too: where it has none of its own they are not copied, and
        those of its own go before."""
        if self._attributes is None:
            self._shared = attributes
        else:
            self._attributes = {**attributes, **self._attributes}
        self.end()

    def end(self, error: str = "", *, expected: bool = False) -> None:
        """Ends it; a second call does nothing. `error` is a class of errors, such as a status, and not a text for
        humans, which might hold what is private. An `expected` one is no reason to keep the trace."""
        if self.ended:
            return
        self.ended = self.clock.monotonic()
        if error:
            self.error = error
            self.attributes["error.type"] = error
            if not expected:
                self.reason = self.reason or "failed"
        if self.processor is not None:
            self.processor.on_end(self)


class UnrecordedSpan(Span):
    """Stands for work of a trace that nobody looks at. It names its parent in its place, and keeps nothing."""

    __slots__ = ()

    def __init__(self, traceparent: str) -> None:
        self.traceparent = self.parent = traceparent
        self.processor = None
        self.service = self.name = self.error = self.reason = self.tracestate = ""
        self.streaming = False

    @property
    def attributes(self) -> dict[str, AttributeValue]:
        """Attributes that nobody reads."""
        return {}

    def end_sharing(self, attributes: Attributes) -> None:
        """Does nothing."""

    def end(self, error: str = "", *, expected: bool = False) -> None:
        """Does nothing."""
