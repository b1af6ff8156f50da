"""The spans of events, by OpenTelemetry's conventions for messaging.

An event carries the `traceparent` of the span that created it. What a consumer does with it is under that span, and
linked to the call that brought it. A batch for a broker serves many traces: it is linked to all, and under none.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager

from soukapi.v1.event_pb2 import Event

from souk.telemetry.traces import is_plain
from souk.telemetry.tracing.span import Span, SpanKind
from souk.telemetry.tracing.tracer import Tracer
from souk.telemetry.tracing.work import UNTRACED, recorded

_MOST_LINKS = 128
"""The limit of OpenTelemetry for one span."""


def processing(
    tracer: Tracer | None, consumer: str, event: Event, brought_by: str
) -> AbstractContextManager[Span | None]:
    """Gives the block in which a consumer handles an event; `brought_by` is the trace of the call that brought it."""
    if tracer is None:
        return UNTRACED
    return recorded(
        tracer,
        f"process {event.type}",
        SpanKind.CONSUMER,
        {
            "messaging.system": "souk",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": event.type,
            "messaging.consumer.group.name": consumer,
            "messaging.message.id": event.id,
        },
        parent=event.traceparent,
        links=(brought_by,) if is_plain(brought_by) else (),
    )


def sending(tracer: Tracer | None, topic: str, events: Sequence[Event]) -> AbstractContextManager[Span | None]:
    """Gives the block in which a relay sends a batch of events to a broker."""
    if tracer is None:
        return UNTRACED
    return recorded(
        tracer,
        f"send {topic}",
        SpanKind.CLIENT,
        {
            "messaging.system": "souk",
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.destination.name": topic,
            "messaging.batch.message_count": len(events),
        },
        parent="",
        links=[event.traceparent for event in events[:_MOST_LINKS] if is_plain(event.traceparent)],
    )
