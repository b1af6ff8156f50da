"""Makes one call to a participant, and turns its end into an answer."""

import asyncio
from collections.abc import Awaitable

import grpc.aio
import structlog
from google.protobuf.message import Message

from souk.kernel.errors import FORBIDDEN, UNAUTHENTICATED, Outcome
from souk.rpc.call import CallFailed, failure_of
from souk.rpc.status import STATUS_KEY
from souk.saga.definition import Refusal
from souk.saga.run import StepAnswer

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
