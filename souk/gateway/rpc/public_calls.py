"""Makes the calls of clients of gRPC, gRPC-Web and Connect: who may, and what comes back.

The checks are those of REST and in the same order: identity, then the limit, then the request. The request's own limits
are checked by the service, as for every caller.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message

from souk.descriptors.contract import Method
from souk.gateway.admission import EdgeAdmission
from souk.gateway.backend import ChannelOf
from souk.gateway.http.problem import Problem, invalid, problem_of
from souk.gateway.http.request import ClientGone, Request
from souk.gateway.rpc.statuses import WRONG_COUNT, public, shown, status_of
from souk.kernel.cancellation import is_cancelled
from souk.kernel.clock import Clock
from souk.kernel.context import CallContext, Caller, use
from souk.kernel.errors import Violation
from souk.rpc.call import Pairs, Status, failure_of

LONGEST_STREAM = 3_600.0
"""Seconds that a call with a stream in it may take at most, if its client sets no time-out."""


@dataclass(frozen=True, slots=True)
class RpcMethod:
    """A method that clients may call. `promises` says whether the contract of its service lists reasons."""

    method: Method
    admission: EdgeAdmission
    promises: bool


@dataclass(frozen=True, slots=True)
class AskedCall:
    """One call, as a client asks for it, in whichever protocol."""

    rpc: RpcMethod
    request: Request
    caller: Caller
    context: CallContext
    metadata: Pairs


@dataclass(frozen=True, slots=True)
class Began:
    """The metadata before the first message of an answer."""

    initial: Pairs


class Requests:
    """The messages of a client. What goes wrong while they are read ends the call, and is then in `failure`."""

    def __init__(self, messages: AsyncIterator[Message]) -> None:
        self._messages = messages
        self.failure: Problem | ClientGone | None = None

    async def one(self) -> Message:
        """Reads the only message. Raises Problem: 400 when there is none, or more than one."""
        found = [message async for message in self._first_two()]
        if len(found) != 1:
            raise wrong_count(len(found))
        return found[0]

    async def _first_two(self) -> AsyncIterator[Message]:
        count = 0
        async for message in self._messages:
            yield message
            count += 1
            if count == 2:
                return

    async def __aiter__(self) -> AsyncIterator[Message]:
        try:
            async for message in self._messages:
                yield message
        except (Problem, ClientGone) as failure:
            self.failure = failure
            raise

    def status(self) -> Status:
        """Returns the status of a call that `failure` has ended. Raises ClientGone when the client has left."""
        if isinstance(self.failure, Problem):
            return status_of(self.failure)
        raise self.failure or ClientGone


def wrong_count(count: int) -> Problem:
    """Makes the problem of a call with one message to which none came, or several."""
    text = "no message came" if count == 0 else "more than one message came"
    return Problem(400, WRONG_COUNT, f"this method takes one message; {text}")


class PublicCalls:
    """Makes the calls, over the channel to each service."""

    def __init__(self, channel_of: ChannelOf, clock: Clock) -> None:
        self._channel_of, self._clock = channel_of, clock

    async def admitted(self, rpc: RpcMethod, request: Request, timeout: float | None, metadata: Pairs) -> AskedCall:
        """Checks who calls and how often. `timeout` is the client's own, in seconds. Raises Problem."""
        caller = await rpc.admission.admit(request)
        longest = rpc.method.policy.timeout if rpc.method.unary else LONGEST_STREAM
        limit = longest if timeout is None else min(timeout, longest)
        key = request.header(b"idempotency-key")
        deadline, state, met = self._clock.monotonic() + limit, request.tracestate, request.releases
        context = CallContext(deadline, caller, request.traceparent, key, tracestate=state, releases=met)
        return AskedCall(rpc, request, caller, context, metadata)

    async def relayed(self, asked: AskedCall, requests: Requests) -> AsyncGenerator[Began | Message | Status, None]:
        """Makes the call. Yields Began, the messages of the answer, and last the status; a call may end at once."""
        method, call = asked.rpc.method, None
        try:
            given = requests if method.client_streaming else await _one(requests, asked)
            with use(asked.context):
                call = self._begun(method, given, asked.metadata)
            if method.server_streaming:
                yield Began(public(await call.initial_metadata()))
                async for message in call:
                    yield message
            else:
                message = await call
                yield Began(public(await call.initial_metadata()))
                yield message
            yield Status(grpc.StatusCode.OK, "", public(await call.trailing_metadata()))
        except grpc.aio.AioRpcError as error:
            if requests.failure is not None:
                yield requests.status()
            else:
                asked.request.refusal = problem_of(failure_of(error), method)
                for part in _failed(error, asked.rpc):
                    yield part
        except Problem as problem:
            asked.request.refusal = problem
            yield status_of(problem)
        except asyncio.CancelledError:
            # Reading the requests failed, and with it the call; or this task itself is cancelled.
            if requests.failure is None or is_cancelled():
                raise
            yield requests.status()
        finally:
            if call is not None:
                call.cancel()

    def _begun(self, method: Method, given: Any, metadata: Pairs) -> Any:
        channel = self._channel_of(method.service)
        make = {
            (False, False): channel.unary_unary,
            (False, True): channel.unary_stream,
            (True, False): channel.stream_unary,
            (True, True): channel.stream_stream,
        }[method.client_streaming, method.server_streaming]
        stub: Any = make(
            method.full_name,
            request_serializer=method.input.SerializeToString,
            response_deserializer=method.output.FromString,
        )
        return stub(given, timeout=LONGEST_STREAM, metadata=metadata)  # the context's deadline comes before


def _failed(error: grpc.aio.AioRpcError, rpc: RpcMethod) -> list[Began | Status]:
    failed = failure_of(error)
    initial = public(tuple(failed.initial_metadata() or ()))
    status = shown(failed, rpc.method, promises=rpc.promises)
    return [Began(initial), status] if initial else [status]


async def _one(requests: Requests, asked: AskedCall) -> Message:
    message = _keyed(await requests.one(), asked)
    await asked.rpc.admission.admit_account(asked.request, asked.caller, message)
    return message


def _keyed(message: Message, asked: AskedCall) -> Message:
    """Gives a message its idempotency key from the header, as in REST. Raises Problem 400 when both differ."""
    field, key = asked.rpc.method.policy.idempotency_field, asked.context.idempotency_key
    if field and key:
        own = getattr(message, field)
        if own and own != key:
            raise invalid([Violation(field, "differs from the header Idempotency-Key")])
        setattr(message, field, key)
    return message
