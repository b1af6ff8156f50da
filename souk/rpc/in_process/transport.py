"""The transport for calls inside one process. Caller and handler share nothing but encoded messages."""

import asyncio
from contextvars import Context
from typing import Any

import grpc

from souk.kernel.clock import Clock, SystemClock
from souk.rpc.call import Call, Reply, Status
from souk.rpc.in_process.reply import InProcessStream, LocalReply
from souk.rpc.server.dispatcher import Dispatcher, Served
from souk.rpc.server.handler_context import HandlerContext, too_large
from souk.rpc.server.handling import NO_METHOD, STOPPED, handle, too_much_metadata
from souk.rpc.transport import EXPIRED, MESSAGE_LIMIT, Stream


class InProcessTransport:
    """A transport to a dispatcher in the same process. Several channels may share it."""

    def __init__(self, dispatcher: Dispatcher, clock: Clock | None = None) -> None:
        self._dispatcher = dispatcher
        self._clock = clock or SystemClock()
        self._running: dict[asyncio.Task[None], HandlerContext] = {}
        self._stopped = False

    def unary(self, call: Call) -> asyncio.Future[Reply]:
        """Makes a unary call. The handler's task is the only one that is made for it."""
        reply = LocalReply(call)
        served = self._served(call, reply)
        if served is not None:
            context = HandlerContext(call, self._clock, reply)
            reply.start(context, self._start(served, call.request, context), self._remaining(call))
        return reply

    def stream(self, call: Call, *, one_request: bool) -> Stream:
        """Begins a call with a stream in it."""
        stream = InProcessStream()
        served = self._served(call, stream)
        if served is not None:
            requests = stream.requests if call.method.client_streaming else None
            context = HandlerContext(call, self._clock, stream, requests, stream.responses)
            request = context.messages() if call.method.client_streaming else call.request
            stream.start(context, self._start(served, request, context), self._remaining(call))
        return stream

    async def ready(self) -> None:
        """Returns at once: a process is always connected to itself."""

    async def close(self, grace: float | None = None) -> None:
        """Sends no further calls; running ones may end within `grace` seconds, and are then cancelled."""
        self._stopped = True
        if self._running and grace:
            await asyncio.wait(list(self._running), timeout=grace)
        for task, context in list(self._running.items()):
            context.finish(Status(grpc.StatusCode.UNAVAILABLE, STOPPED))
            task.cancel()
        if self._running:
            await asyncio.wait(list(self._running))

    def _remaining(self, call: Call) -> float:
        return call.deadline - self._clock.monotonic()

    def _served(self, call: Call, end: LocalReply | InProcessStream) -> Served | None:
        served = self._dispatcher.find(call.method.full_name)
        refusal = self._refusal(call, served)
        if refusal is None:
            return served
        end.finished(refusal, None)
        return None

    def _refusal(self, call: Call, served: Served | None) -> Status | None:
        """Returns the status of a call that must not reach its handler; None for one that may."""
        if self._stopped:
            return Status(grpc.StatusCode.UNAVAILABLE, STOPPED, sent=False)
        if call.deadline <= self._clock.monotonic():
            return EXPIRED._replace(sent=False)
        if (refusal := too_much_metadata(call)) is not None:
            return refusal
        if served is None:
            return Status(grpc.StatusCode.UNIMPLEMENTED, NO_METHOD)
        if len(call.request) > MESSAGE_LIMIT:
            return too_large("SERVER", call.request)
        return None

    def _start(self, served: Served, request: Any, context: HandlerContext) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(handle(served, request, context), context=Context())
        self._running[task] = context
        task.add_done_callback(self._running.__delitem__)
        return task
