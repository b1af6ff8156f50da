"""The receiving end of events: passes them to their consumers, those of one key one by one and in order.

How a handler ends decides what becomes of the event:

- it returns: the event is handled;
- it raises PoisonedEvent: the event can never be handled; the relay parks it with the reason, and goes on;
- something it needs is unavailable (the database, another service), or its time limit is over: the event is
  sent again, without limit;
- it raises any other exception: perhaps a bug. The event is sent again a few times, then parked.

Deliveries may repeat. A consumer with a database calls `Inbox.first_time` in the transaction in which
it acts; a stateless one derives the ids of what it sends from the event's id.
"""

import asyncio
import errno
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager

import grpc
import grpc.aio
from soukapi.v1 import event_pb2_grpc
from soukapi.v1.event_pb2 import DeliverRequest, DeliverResponse, DeliveryResult, Event

from souk.events.causes import where_failed
from souk.events.envelope import tracestate_of
from souk.kernel.clock import Clock, SystemClock
from souk.kernel.context import CallContext, current, use
from souk.kernel.errors import (
    FORBIDDEN,
    UNAUTHENTICATED,
    DomainError,
    LeaseLost,
    Overloaded,
    PermissionDenied,
    PoisonedEvent,
    StoreUnavailable,
    Unauthenticated,
    VersionConflict,
)
from souk.telemetry.logs import logger
from souk.telemetry.traces import is_plain
from souk.telemetry.tracing.messaging import BY_CALL, message_attributes
from souk.telemetry.tracing.span import Span, SpanKind
from souk.telemetry.tracing.tracer import Tracer
from souk.telemetry.tracing.work import UNTRACED, recorded

Handler = Callable[[Event], Awaitable[None]]
"""Handles one event; the module's docstring says what its exceptions mean."""

UNKNOWN_CONSUMER = "UNKNOWN_CONSUMER"

_AWAY = (StoreUnavailable, Overloaded, VersionConflict, LeaseLost, TimeoutError, ConnectionError)
_SHORT = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Errors of a machine that lacks a resource or has a bad disk; they are not the event's fault either."""
_AWAY_CODES = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNIMPLEMENTED,  # by a process of an older version, in the middle of a deploy
    }
)
_TURNED_AWAY = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})
_OF_THE_PLATFORM = ("", UNAUTHENTICATED, FORBIDDEN)
"""Reasons of a call that was rejected before its request was read: a clock or a secret is wrong."""

_log = logger("events")


class EventSinkServicer(event_pb2_grpc.EventSinkServicer):
    """Serves soukapi.v1.EventSink for the `consumers` of one service, by name.

    Up to `at_once` keys of a delivery are handled at the same time. One event may take `event_timeout` seconds.
    A delivery stops early when less than that is left to its deadline, so that the events that were handled are
    always acknowledged.
    """

    def __init__(
        self,
        consumers: Mapping[str, Handler],
        *,
        clock: Clock | None = None,
        event_timeout: float = 10.0,
        at_once: int = 16,
        tracer: Tracer | None = None,
    ) -> None:
        self._tracer = tracer
        self._consumers = consumers
        self._clock = clock or SystemClock()
        self._event_timeout = event_timeout
        self._at_once = at_once

    async def Deliver(
        self, request: DeliverRequest, context: grpc.aio.ServicerContext[DeliverRequest, DeliverResponse]
    ) -> DeliverResponse:
        """Handles the events of each key in order; stops a key at its first event that must be sent again."""
        handler = self._consumers.get(request.consumer)
        if handler is None:
            raise DomainError(UNKNOWN_CONSUMER, f"there is no consumer {request.consumer!r} here")
        source = current().caller.service
        if any(event.source != source for event in request.events):
            raise PermissionDenied(f"{source!r} may deliver its own events alone")
        keys: dict[str, list[Event]] = {}
        for event in request.events:
            keys.setdefault(event.key, []).append(event)
        ended: dict[str, DeliveryResult] = {}
        permits = asyncio.Semaphore(self._at_once)
        async with asyncio.TaskGroup() as tasks:
            for events in keys.values():
                tasks.create_task(self._in_order(request.consumer, handler, events, ended, permits))
        return DeliverResponse(results=[ended[event.id] for event in request.events if event.id in ended])

    async def _in_order(
        self,
        consumer: str,
        handler: Handler,
        events: Sequence[Event],
        ended: dict[str, DeliveryResult],
        permits: asyncio.Semaphore,
    ) -> None:
        for event in events:
            async with permits:
                if ended and not self._time_for_another():
                    return
                result = await handled(consumer, handler, event, self._event_timeout, self._clock, self._tracer)
            if result is None:
                return
            ended[event.id] = result
            if result.failure:
                return

    def _time_for_another(self) -> bool:
        deadline = current().deadline
        return deadline is None or deadline - self._clock.monotonic() >= self._event_timeout


async def handled(
    consumer: str,
    handler: Handler,
    event: Event,
    timeout: float,
    clock: Clock,
    tracer: Tracer | None = None,
    system: str = BY_CALL,
) -> DeliveryResult | None:
    """Handles one event within `timeout` seconds; returns None when it is to be sent again without limit.

    `system` is what has brought it.
    """
    limit, now = clock.monotonic() + timeout, current()
    deadline = min(limit, now.deadline or limit)
    try:
        # Not `replace`, which takes five times as long.
        key, state = now.idempotency_key, tracestate_of(event)
        context = CallContext(deadline, now.caller, event.traceparent, key, now.one_try, state)
        with use(context), processing(tracer, consumer, event, now.traceparent, system):
            async with asyncio.timeout(timeout):
                await handler(event)
    except PoisonedEvent as error:
        digest, location = where_failed(error)
        return DeliveryResult(event_id=event.id, poison=str(error) or "poisoned", digest=digest, location=location)
    except Exception as error:
        if is_away(error):
            _log.warning("an event is postponed", consumer=consumer, event_id=event.id, error=type(error).__name__)
            return None
        _log.exception("a consumer failed", consumer=consumer, event_id=event.id, event_type=event.type)
        digest, location = where_failed(error)
        return DeliveryResult(event_id=event.id, failure=type(error).__name__, digest=digest, location=location)
    return DeliveryResult(event_id=event.id)


def is_away(error: Exception) -> bool:
    """Returns whether an error means that something is unavailable now, and is not the event's fault.

    An event counts as failed only when its handler refuses it or has a bug, or when another service has read the
    handler's request and refused it.
    """
    if isinstance(error, DomainError):
        return error.retry_after is not None or isinstance(error, Unauthenticated | PermissionDenied)
    if isinstance(error, grpc.aio.AioRpcError):
        return error.code() in _AWAY_CODES or _was_turned_away(error)
    return isinstance(error, _AWAY) or (isinstance(error, OSError) and error.errno in _SHORT)


def _was_turned_away(error: grpc.aio.AioRpcError) -> bool:
    return error.code() in _TURNED_AWAY and getattr(error, "reason", "") in _OF_THE_PLATFORM


def processing(
    tracer: Tracer | None, consumer: str, event: Event, brought_by: str, system: str
) -> AbstractContextManager[Span | None]:
    """Gives the block in which a consumer handles an event; `brought_by` is the trace of the call that brought it."""
    if tracer is None:
        return UNTRACED
    return recorded(
        tracer,
        f"process {event.type}",
        SpanKind.CONSUMER,
        {
            **message_attributes("process", event.type, system),
            "messaging.consumer.group.name": consumer,
            "messaging.message.id": event.id,
        },
        parent=event.traceparent,
        links=(brought_by,) if is_plain(brought_by) else (),
    )
