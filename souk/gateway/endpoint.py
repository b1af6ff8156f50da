"""The pipeline of one method: identity, rate limit, request, call, answer."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from google.protobuf.message import Message

from souk.gateway.auth.identity import Identity
from souk.gateway.backend import Backend
from souk.gateway.http.answers import Answer
from souk.gateway.http.request import Request
from souk.gateway.limits.limiter import MethodLimits
from souk.gateway.limits.policy import Client
from souk.gateway.transcoding.transcoder import Transcoder
from souk.kernel.clock import Clock
from souk.kernel.context import CallContext

Handle = Callable[[Request, Sequence[str | None]], Awaitable[Answer]]
"""Answers a request; the second argument is the captures of the path, still percent-encoded. Raises Problem."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The handler of a route. `route` names it in logs and metrics."""

    route: str
    handle: Handle


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The stages of a call, in the order of the checks: 401 and 403, 429, 413 and 415, 400, 429 by account, the call.

    `limits` None means that no rate limit holds.
    """

    transcoder: Transcoder
    identity: Identity
    limits: MethodLimits | None
    backend: Backend
    clock: Clock

    async def __call__(self, request: Request, captures: Sequence[str | None]) -> Answer:
        message, context = await self.admitted(request, captures)
        reply, headers = await self.backend.call(self.transcoder.method, message, context)
        return self.transcoder.answer(reply, headers)

    async def admitted(self, request: Request, captures: Sequence[str | None]) -> tuple[Message, CallContext]:
        """Runs all stages before the call; returns the method's request, and the context to call it in."""
        transcoder, method = self.transcoder, self.transcoder.method
        trace = request.trace.traceparent
        caller = await self.identity.authorise(request, method.policy, trace)
        caller = replace(caller, address=request.client)
        request.subject = caller.subject
        client = Client(caller.subject, caller.address, caller.api_key)
        if self.limits is not None and (waited := self.limits.admit(request, client)) is not None:
            await waited
        message = await transcoder.request(request, captures)
        if self.limits is not None and (waited := self.limits.admit_account(request, client, message)) is not None:
            await waited
        # The time for the call begins only now: the server limits the time for the body.
        deadline = self.clock.monotonic() + method.policy.timeout
        key, one_try = transcoder.key_of(message), request.method == "POST"
        return message, CallContext(deadline, caller, trace, key, one_try=one_try)
