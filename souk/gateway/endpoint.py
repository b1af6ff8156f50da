"""The pipeline of one method: identity, rate limit, request, call, answer."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message

from souk.descriptors.contract import Priority
from souk.gateway.admission import EdgeAdmission
from souk.gateway.backend import Backend
from souk.gateway.http.answers import Answer
from souk.gateway.http.request import Request
from souk.gateway.transcoding.transcoder import Transcoder
from souk.kernel.clock import Clock
from souk.kernel.context import CallContext, Caller

Handle = Callable[[Request, Sequence[str | None]], Awaitable[Answer]]
"""Answers a request; the second argument is the captures of the path, still percent-encoded. Raises Problem."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The handler of a route. `route` names it in logs and metrics; `priority` None means that it is never shed."""

    route: str
    handle: Handle
    priority: Priority | None = None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The stages of a call, in the order of the checks: 401, 403, 429, 413 and 415, 400, 429 by account, the call."""

    transcoder: Transcoder
    admission: EdgeAdmission
    backend: Backend
    clock: Clock

    async def __call__(self, request: Request, captures: Sequence[str | None]) -> Answer:
        message, context = await self.prepared(request, captures, await self.admission.admit(request))
        reply, headers = await self.backend.call(self.transcoder.method, message, context)
        return self.transcoder.answer(reply, headers)

    async def admitted(self, request: Request, captures: Sequence[str | None]) -> tuple[Message, CallContext]:
        """Runs all stages before the call; returns the method's request, and the context to call it in."""
        return await self.prepared(request, captures, await self.admission.admit(request))

    async def prepared(
        self, request: Request, captures: Sequence[str | None], caller: Caller
    ) -> tuple[Message, CallContext]:
        """Runs the stages between admission and the call; returns what `admitted` does."""
        transcoder, method = self.transcoder, self.transcoder.method
        message = await transcoder.request(request, captures)
        if self.admission.by_account:
            await self.admission.admit_account(request, caller, message)
        # The time for the call begins only now: the server limits the time for the body.
        deadline = self.clock.monotonic() + method.policy.timeout
        key, one_try = transcoder.key_of(message), request.method == "POST"
        state = request.tracestate
        return message, CallContext(deadline, caller, request.traceparent, key, one_try, state, request.releases)
