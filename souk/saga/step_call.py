"""One call to a participant, and what came of it."""

import asyncio
from collections.abc import Awaitable

import grpc.aio
import structlog
from google.protobuf.message import Message

from souk.kernel.errors import FORBIDDEN, UNAUTHENTICATED, Outcome
from souk.rpc.call import CallFailed, failure_of
from souk.rpc.status import STATUS_KEY
from souk.saga.definition import Refusal
from souk.saga.machine import StepAnswer

log = structlog.get_logger("souk.saga")

GRACE = 0.25
"""How much longer than its deadline a call may take to say that it is over, in seconds."""


async def ask(step: str, call: Awaitable[Message | None], limit: float) -> StepAnswer:
    """Awaits `call` for `limit` seconds. Whatever it raises is an answer: UNKNOWN unless it says more."""
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
        # The call was cancelled from the other side; nobody cancelled us.
        return _unknown(step, "CANCELLED")
    except Exception as error:
        log.exception("saga step failed in its own code", step=step)
        return _unknown(step, type(error).__name__)
    return StepAnswer(Outcome.DONE, b"" if reply is None else reply.SerializeToString())


def _outcome(failed: CallFailed) -> Outcome:
    """A participant that turns the saga away at its entrance has not looked at the step: it decides nothing. What
    has to be mended is a clock or a secret, so the step is as one that was not sent, and is never parked for it."""
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
