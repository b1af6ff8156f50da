"""Records a block of code as a span under what is being handled."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar

from souk.kernel.context import current, use
from souk.kernel.errors import DomainError
from souk.telemetry.tracing.span import AttributeValue, Span, SpanKind
from souk.telemetry.tracing.tracer import Tracer

_open: ContextVar[Span | None] = ContextVar("souk_span", default=None)
UNTRACED: AbstractContextManager[Span | None] = nullcontext()
"""The block of work that is not recorded."""


class TracedWork(AbstractContextManager[Span | None]):
    """Records the block, and is the parent of what it calls. An exception is its error, a cancellation is none."""

    __slots__ = ("_before", "_span", "_use")

    def __init__(self, span: Span) -> None:
        now, self._span = current(), span
        span.tracestate = now.tracestate
        self._use = use(now.under(span.traceparent))

    def __enter__(self) -> Span:
        self._use.__enter__()
        self._before = _open.set(self._span)
        return self._span

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        _open.reset(self._before)
        self._use.__exit__(None, None, None)
        if isinstance(error, asyncio.CancelledError):
            self._span.end("cancelled", expected=True)
        elif error is not None:
            self._span.end(type(error).__name__, expected=isinstance(error, DomainError))
        else:
            self._span.end()


def note(name: str, value: AttributeValue) -> None:
    """Gives an attribute to the span of the innermost block of `recorded` that is under way, if there is one."""
    span = _open.get()
    if span is not None:
        span.attributes[name] = value


def recorded(
    tracer: Tracer | None,
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: dict[str, AttributeValue] | None = None,
    *,
    parent: str | None = None,
    links: Sequence[str] = (),
) -> AbstractContextManager[Span | None]:
    """Gives the block for a piece of work: recorded under `parent`, or what is being handled, if there is a tracer."""
    if tracer is None:
        return UNTRACED
    under = current().traceparent if parent is None else parent
    return TracedWork(tracer.start(name, kind, under, attributes, links))
