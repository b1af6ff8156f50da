"""Makes one call to a participant, turns its end into an answer, and records both in a trace.

All drives of a run are in one trace, that of the request which began it, because the run keeps its `traceparent`. A
drive after a crash says that it was resumed.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import AbstractContextManager

import grpc.aio
import structlog
from google.protobuf.message import Message

from souk.kernel.errors import FORBIDDEN, UNAUTHENTICATED, Outcome
from souk.rpc.call import CallFailed, failure_of
from souk.rpc.status import STATUS_KEY
from souk.saga.definition import Refusal
from souk.saga.fault_points import UNDO
from souk.saga.run import StepAnswer
from souk.saga.store import Held
from souk.telemetry.tracing.span import AttributeValue, Span
from souk.telemetry.tracing.tracer import Tracer
from souk.telemetry.tracing.work import UNTRACED, recorded

log = structlog.get_logger("souk.saga")

GRACE = 0.25
"""Seconds beyond its deadline that a call may take to end."""


async def ask(step: str, call: Awaitable[Message | None], limit: float) -> StepAnswer:
    """Awaits `call` for `limit` seconds. An exception becomes an answer: UNKNOWN unless it proves more."""
    try:
        async with asyncio.timeout(limit + GRACE):
            reply = await call
    except grpc.aio.AioRpcError as error:
        failed = failure_of(error)
        outcome = _outcome(failed)
        return StepAnswer(outcome, refusal=_refusal(step, failed, sent=outcome is not Outcome.NOT_SENT))
    except TimeoutError:
        return _unknown(step, "TIMEOUT")
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # The call was cancelled from the other side, and not this task.
        return _unknown(step, "CANCELLED")
    except Exception as error:
        log.exception("saga step failed in its own code", step=step)
        return _unknown(step, type(error).__name__)
    return StepAnswer(Outcome.DONE, b"" if reply is None else reply.SerializeToString())


def _outcome(failed: CallFailed) -> Outcome:
    """Returns the outcome of a failed call. UNAUTHENTICATED and FORBIDDEN count as NOT_SENT: the participant has
    rejected the saga's service before it read the step. A clock or a secret is wrong then, so no step is parked."""
    turned_away = failed.outcome is Outcome.REFUSED and failed.reason in (UNAUTHENTICATED, FORBIDDEN)
    return Outcome.NOT_SENT if turned_away else failed.outcome


def _unknown(step: str, reason: str) -> StepAnswer:
    return StepAnswer(Outcome.UNKNOWN, refusal=Refusal(step, reason))


def _refusal(step: str, failed: CallFailed, *, sent: bool) -> Refusal:
    reason = failed.reason or failed.code().name
    return Refusal(step, reason, failed.detail, _status(failed), sent, failed.final and sent)


def _status(failed: CallFailed) -> bytes:
    for key, value in failed.trailing_metadata() or ():
        if key == STATUS_KEY and isinstance(value, bytes):
            return value
    return b""


_FIRST_EPOCH = 1


def traced_drive(tracer: Tracer | None, held: Held) -> AbstractContextManager[Span | None]:
    """Gives the block in which one process drives a run."""
    if tracer is None:
        return UNTRACED
    attributes = _about(held)
    if held.epoch > _FIRST_EPOCH:
        attributes["souk.saga.resumed"] = True
    return recorded(tracer, f"saga {held.ref.name}", attributes=attributes)


def traced_step(
    tracer: Tracer | None, held: Held, step: str, what: str, tries: int
) -> AbstractContextManager[Span | None]:
    """Gives the block of one try of a step, or of its undo. `tries` counts those before it."""
    if tracer is None:
        return UNTRACED
    attributes: dict[str, AttributeValue] = {**_about(held), "souk.saga.step": step, "souk.resend_count": tries}
    return recorded(tracer, f"{'undo' if what == UNDO else 'step'} {step}", attributes=attributes)


def note_answer(span: Span | None, what: str, answer: StepAnswer) -> None:
    """Notes how a try ended. A trace in which something is undone, or not known, is worth keeping."""
    if span is None:
        return
    span.attributes["souk.saga.outcome"] = answer.outcome.value
    if what == UNDO:
        span.reason = "compensated"
    if answer.outcome is not Outcome.DONE:
        error = answer.outcome.value if answer.refusal is None else answer.refusal.reason
        span.end(error, expected=answer.outcome is Outcome.REFUSED)


def _about(held: Held) -> dict[str, AttributeValue]:
    ref = held.ref
    return {"souk.saga.name": ref.name, "souk.saga.subject": ref.subject, "souk.saga.attempt": ref.attempt}
