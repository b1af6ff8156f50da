"""Calls inside one process. Nothing is shared but encoded messages."""

import asyncio
from contextvars import Context
from typing import Any

import grpc
import grpc.aio

from souk.kernel.clock import Clock, SystemClock
from souk.rpc.call import Call, Reply, Status
from souk.rpc.local_context import LocalContext, too_large
from souk.rpc.local_ends import LocalReply, LocalWire
from souk.rpc.metadata import LIMIT, size
from souk.rpc.server import Dispatcher, Served
from souk.rpc.transport import EXPIRED, MESSAGE_LIMIT, Wire
from souk.telemetry.logs import logger

_OWN_METADATA = 470  # what gRPC itself sends with a request: path, authority, time-out and the like
_STOPPED = "the service has stopped"

_log = logger("rpc")


class InProcess:
    """A transport to a dispatcher in the same process. Several channels may share it."""

    def __init__(self, dispatcher: Dispatcher, clock: Clock | None = None) -> None:
        self._dispatcher = dispatcher
        self._clock = clock or SystemClock()
        self._running: dict[asyncio.Task[None], LocalContext] = {}
        self._stopped = False

    def unary(self, call: Call) -> asyncio.Future[Reply]:
        """Makes a unary call. The handler's task is the only one that is made for it."""
        reply = LocalReply(call)
        served = self._served(call, reply)
        if served is not None:
            context = LocalContext(call, self._clock, reply)
            reply.start(context, self._start(served, call.request, context), self._remaining(call))
        return reply

    def stream(self, call: Call, *, one_request: bool) -> Wire:
        """Begins a call of another shape."""
        wire = LocalWire()
        served = self._served(call, wire)
        if served is not None:
            requests = wire.requests if call.method.client_streaming else None
            context = LocalContext(call, self._clock, wire, requests, wire.responses)
            request = context.messages() if call.method.client_streaming else call.request
            wire.start(context, self._start(served, request, context), self._remaining(call))
        return wire

    async def ready(self) -> None:
        """A process is always connected to itself."""

    async def close(self, grace: float | None = None) -> None:
        """Further calls are not sent; running ones may end within `grace` seconds."""
        self._stopped = True
        if self._running and grace:
            await asyncio.wait(list(self._running), timeout=grace)
        for task, context in list(self._running.items()):
            context.finish(Status(grpc.StatusCode.UNAVAILABLE, _STOPPED))
            task.cancel()
        if self._running:
            await asyncio.wait(list(self._running))

    def _remaining(self, call: Call) -> float:
        return call.deadline - self._clock.monotonic()

    def _served(self, call: Call, end: LocalReply | LocalWire) -> Served | None:
        served = self._dispatcher.find(call.method.full_name)
        refusal = self._refusal(call, served)
        if refusal is None:
            return served
        end.finished(refusal, None)
        return None

    def _refusal(self, call: Call, served: Served | None) -> Status | None:
        """What ends a call before its handler is asked."""
        if self._stopped:
            return Status(grpc.StatusCode.UNAVAILABLE, _STOPPED, sent=False)
        if call.deadline <= self._clock.monotonic():
            return EXPIRED._replace(sent=False)
        if size(call.metadata) + len(call.method.full_name) + _OWN_METADATA > LIMIT:
            return Status(grpc.StatusCode.RESOURCE_EXHAUSTED, f"received metadata size exceeds hard limit ({LIMIT})")
        if served is None:
            return Status(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        if len(call.request) > MESSAGE_LIMIT:
            return too_large("SERVER", call.request)
        return None

    def _start(self, served: Served, request: Any, context: LocalContext) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(_handle(served, request, context), context=Context())
        self._running[task] = context
        task.add_done_callback(self._running.__delitem__)
        return task


async def _handle(served: Served, request: Any, context: LocalContext) -> None:
    try:
        context.complete(await served.serve(request, context))
    except grpc.aio.AbortError:
        pass
    except asyncio.CancelledError:
        context.finish(Status(grpc.StatusCode.CANCELLED))
    except Exception:
        _log.exception("a call failed after it was answered", method=served.method.full_name)
        context.finish(Status(grpc.StatusCode.UNKNOWN))
    finally:
        context.call_back()
