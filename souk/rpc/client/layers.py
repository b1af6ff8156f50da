"""The layers around a call. Each is thin: its policy in `souk.resilience` decides, the layer awaits.

`souk.rpc.client.layer_stack` puts them in order.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import grpc
import grpc.aio

from souk.kernel.clock import Clock
from souk.kernel.context import current
from souk.kernel.errors import Outcome
from souk.resilience.balancer import Balancer
from souk.resilience.breaker.breaker import Breaker
from souk.resilience.bulkhead import Arrival, Bulkhead, CallingParty
from souk.resilience.retry import Failure, Retry
from souk.rpc.call import Call, CallFailed, Invoke, Layer, Reply, not_sent

Ended: TypeAlias = Callable[[Call, float, CallFailed | None], None]
"""Called at the end of each call with the seconds it took, and with its error if it failed."""

_Code = grpc.StatusCode
_TRANSIENT = frozenset(
    {_Code.UNAVAILABLE, _Code.DEADLINE_EXCEEDED, _Code.RESOURCE_EXHAUSTED, _Code.ABORTED, _Code.INTERNAL, _Code.UNKNOWN}
)
_CALLEE_FAILED = frozenset(
    {_Code.UNAVAILABLE, _Code.RESOURCE_EXHAUSTED, _Code.INTERNAL, _Code.UNKNOWN, _Code.DATA_LOSS}
)
_WHOLE_TRY = 0.95
"""The part of the per-try limit after which a time-out counts as the fault of the callee, not of the caller.

It is below 1 because a call that waited a moment in the bulkhead has a little less than its limit.
"""


class Shed(CallFailed):
    """A call that the caller's own open breaker or full bulkhead rejected: NOT_SENT, and not to be retried."""

    def __init__(self, details: str, retry_after: float | None = None) -> None:
        nothing = grpc.aio.Metadata()
        super().__init__(_Code.UNAVAILABLE, nothing, nothing, details, outcome=Outcome.NOT_SENT)
        self.retry_after = retry_after


def with_tracing(clock: Clock, ended: Ended) -> Layer:
    """Reports to `ended` how each call ended, all its tries together."""

    def layer(inner: Invoke) -> Invoke:
        async def invoke(call: Call) -> Reply:
            start = clock.monotonic()
            try:
                reply = await inner(call)
            except CallFailed as error:
                ended(call, clock.monotonic() - start, error)
                raise
            ended(call, clock.monotonic() - start, None)
            return reply

        return invoke

    return layer


def with_deadline(clock: Clock) -> Layer:
    """Fails a call whose deadline has passed instead of sending it. The transport ends calls that were sent."""

    def layer(inner: Invoke) -> Invoke:
        async def invoke(call: Call) -> Reply:
            if call.deadline <= clock.monotonic():
                raise not_sent("the deadline had passed before the call was sent", _Code.DEADLINE_EXCEEDED)
            return await inner(call)

        return invoke

    return layer


def with_retry(policy: Retry, clock: Clock) -> Layer:
    """Retries a failed call as the policy decides, at another instance if there is one."""

    def layer(inner: Invoke) -> Invoke:
        async def invoke(call: Call) -> Reply:
            policy.call_made()
            harmless = (call.method.idempotent or bool(call.idempotency_key)) and not current().one_try
            tries, doubtful = 0, None
            while True:
                tries += 1
                try:
                    return await inner(call)
                except CallFailed as error:
                    if error.outcome is Outcome.UNKNOWN:
                        doubtful = error
                    now = clock.monotonic()
                    delay = policy.delay(now, call.deadline, tries, _failure(error), harmless=harmless)
                    if delay is None:
                        raise _worst(error, doubtful) from None
                    call = call._replace(avoid=call.avoid | _tried(error), resends=tries)
                await asyncio.sleep(delay)

        return invoke

    return layer


def _failure(error: CallFailed) -> Failure:
    return Failure(error.outcome, error.code() in _TRANSIENT, isinstance(error, Shed), error.retry_after)


def _worst(last: CallFailed, doubtful: CallFailed | None) -> CallFailed:
    """Chooses the error to raise: an earlier try that may have taken effect outweighs a last one that was not sent."""
    if doubtful is None or last.outcome is not Outcome.NOT_SENT:
        return last
    doubtful.retry_after = doubtful.retry_after or last.retry_after
    return doubtful


def with_try_timeout(clock: Clock) -> Layer:
    """Limits each try to the per-try time-out of the contract."""

    def layer(inner: Invoke) -> Invoke:
        def invoke(call: Call) -> Awaitable[Reply]:
            limit = clock.monotonic() + call.method.policy.try_timeout
            return inner(call if limit >= call.deadline else call._replace(deadline=limit))

        return invoke

    return layer


def with_bulkhead(policy: Bulkhead[asyncio.Future[None]], service: str, clock: Clock) -> Layer:
    """Waits for a slot in the bulkhead until the deadline, in turn with other callers.

    A user's requests, what a service does by itself on that user's behalf, and a service's own work are three callers.
    """

    def layer(inner: Invoke) -> Invoke:
        async def invoke(call: Call) -> Reply:
            caller = current().caller
            party = CallingParty(caller.service, caller.subject)
            if not policy.try_enter(party):
                await _queue(policy, party, service, call.deadline - clock.monotonic())
            try:
                return await inner(call)
            finally:
                leave(policy, party)

        return invoke

    return layer


async def _queue(policy: Bulkhead[asyncio.Future[None]], party: CallingParty, service: str, seconds: float) -> None:
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    if policy.arrive(waiter, party) is Arrival.FULL:
        raise Shed(f"too many calls to {service} wait already")
    try:
        async with asyncio.timeout(seconds):
            await waiter
    except BaseException as error:
        if not policy.give_up(waiter):
            leave(policy, party)  # it was let in just now
        if isinstance(error, TimeoutError):
            raise not_sent(f"no room for a call to {service} in time", _Code.DEADLINE_EXCEEDED) from None
        raise


def leave(policy: Bulkhead[asyncio.Future[None]], party: CallingParty) -> None:
    """Frees the slot of a call that has ended, and lets in the waiter whose turn it is."""
    waiter = policy.leave(party)
    # A waiter that was cancelled sees by itself that it was let in, and frees its slot.
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


def with_breaker(policy: Breaker, service: str, clock: Clock) -> Layer:
    """Makes a call only with a permit of the breaker, and gives every permit back, however the call ends."""

    def layer(inner: Invoke) -> Invoke:
        async def invoke(call: Call) -> Reply:
            start = clock.monotonic()
            permit = policy.acquire(start)
            if permit is None:
                raise Shed(f"the breaker around {service} is open", policy.retry_after(start))
            failed: bool | None = None
            try:
                reply = await inner(call)
                failed = False
            except BaseException as error:
                failed = verdict(error, clock.monotonic() - start, call.method.policy.try_timeout)
                raise
            finally:
                now = clock.monotonic()
                if failed is None:
                    permit.ignore(now)
                elif failed:
                    permit.fail(now, now - start)
                else:
                    permit.succeed(now, now - start)
            return reply

        return invoke

    return layer


def with_balancer(policy: Balancer, service: str, clock: Clock) -> Layer:
    """Chooses an instance for each call, and reports to the policy how the call ended."""

    def layer(inner: Invoke) -> Invoke:
        async def invoke(call: Call) -> Reply:
            start = clock.monotonic()
            instance = policy.pick(start, call.avoid)
            if instance is None:
                raise not_sent(f"there is no instance of {service}")
            if call.span is not None:
                call.span.attributes["server.address"] = instance.address
            failed: bool | None = None
            try:
                reply = await inner(call._replace(instance=instance.address))
                failed = False
            except BaseException as error:
                failed = verdict(error, clock.monotonic() - start, call.method.policy.try_timeout)
                vars(error)["instance"] = instance.address
                raise
            finally:
                policy.ended(instance, clock.monotonic(), failed)
            return reply

        return invoke

    return layer


def _tried(error: CallFailed) -> frozenset[str]:
    """Returns the instance of the failed try, which `with_balancer` has noted in the error."""
    instance = vars(error).get("instance")
    return frozenset({instance}) if isinstance(instance, str) else frozenset()


def verdict(error: BaseException, took: float, limit: float) -> bool | None:
    """Returns whether a failed call counts against its callee; None if it proves nothing either way.

    A refusal is an answer, unless the contract counts it as a failure. A time-out counts only when the callee had
    the whole per-try `limit`; a caller that cancelled, or gave less time, proves nothing.
    """
    if not isinstance(error, CallFailed) or error.code() is _Code.DEADLINE_EXCEEDED:
        return True if took >= _WHOLE_TRY * limit else None
    if error.outcome is Outcome.REFUSED:
        return error.breaker_failure
    return None if error.code() is _Code.CANCELLED else error.code() in _CALLEE_FAILED
