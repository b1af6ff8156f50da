"""The callee's side of a call: one pipeline for all transports.

    admit (deadline, caller, trace, key)  ->  fault on purpose  ->  check the request  ->  servicer's method  ->  answer

Each handler runs in a task and a context of its own. What it raises becomes a status:

| raised | status |
|---|---|
| `context.abort`, `abort_with_status` | the given one |
| DomainError with a reason that the method's contract lists | the reason's code, google.rpc.ErrorInfo |
| CallerTokenRefused | UNAVAILABLE with the cause as text, and the reason CALLER_TOKEN_REFUSED of the domain souk |
| StoreUnavailable, Overloaded | UNAVAILABLE without text, logged: the request may have taken effect |
| anything else | UNKNOWN without text, logged with its trace |
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, TypeAlias

import grpc
import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor

from souk.descriptors.contract import Method, contract_of
from souk.descriptors.request_check import decoder_of
from souk.faults import INERT, Faults
from souk.kernel.cancellation import is_cancelled
from souk.kernel.clock import Clock, SystemClock
from souk.kernel.context import CallContext, use
from souk.kernel.errors import (
    CallerTokenRefused,
    ConfigurationError,
    DomainError,
    LeaseLost,
    Overloaded,
    StoreUnavailable,
    VersionConflict,
)
from souk.rpc.call import Decode, Pairs, Status
from souk.rpc.caller_token import CallerTokens
from souk.rpc.server.admission import Admission, check_subject, position_of
from souk.rpc.server.call_faults import meet_fault
from souk.rpc.server.spans import ServerSpan
from souk.rpc.status import STATUS_KEY, encode, shortened
from souk.telemetry.logs import logger
from souk.telemetry.tracing.tracer import Tracer
from souk.telemetry.traffic import Traffic

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
Behaviour: TypeAlias = Callable[[Any, Context], Any]
Serve: TypeAlias = Callable[[Any, Context], Awaitable[bytes | None]]

_PASSING = (
    DomainError,
    StoreUnavailable,
    Overloaded,
    VersionConflict,
    LeaseLost,
    TimeoutError,
    ConnectionError,
    grpc.aio.AioRpcError,
    grpc.aio.UsageError,
)
CALLER_TOKEN_REFUSED = "CALLER_TOKEN_REFUSED"
PLATFORM = "souk"
"""The domain of reasons that belong to no contract."""

_log = logger("rpc")


class Served:
    """One method that a transport can call.

    `refusal` takes a call's metadata and returns why its caller may not make the call; None if the caller may.

    `serve` takes the encoded request, or an iterator of messages for a stream of requests, and returns the
    encoded response; it writes a stream of responses to the context itself.
    """

    __slots__ = ("method", "refusal", "serve")

    def __init__(self, method: Method, serve: Serve, refusal: Callable[[Pairs], Status | None]) -> None:
        self.method = method
        self.serve = serve
        self.refusal = refusal


class Dispatcher:
    """Passes calls to the methods that a process serves. `traffic` counts the calls.

    Without `tokens` callers cannot be verified, so only methods that are open to anyone answer. `tracer` records them.
    The calls of `service` meet the fault that it has on purpose, if there is one.
    """

    def __init__(
        self,
        tokens: CallerTokens | None,
        clock: Clock | None = None,
        tracer: Tracer | None = None,
        *,
        service: str = "",
        faults: Faults = INERT,
    ) -> None:
        self._tracer = tracer
        self.traffic = Traffic()
        self._clock = clock or SystemClock()
        self._service, self._faults = service, faults.of_calls
        self._admission = Admission(tokens, self._clock)
        self._served: dict[str, Served] = {}

    def add(self, servicer: object, *contracts: ServiceDescriptor) -> None:
        """Serves every method of the contracts by the servicer's method of the same name.

        Raises ConfigurationError when one of the servicer's methods is not asynchronous. A method that the servicer
        only inherits from generated code answers UNIMPLEMENTED.
        """
        for contract in contracts:
            for method in contract_of(contract).methods.values():
                self._served[method.full_name] = self._serving(method, _behaviour(servicer, method))

    def find(self, full_name: str) -> Served | None:
        """Returns the method of a gRPC path, or None if this process does not serve it."""
        return self._served.get(full_name)

    def _serving(self, method: Method, behaviour: Behaviour) -> Served:
        answer = _streaming(behaviour) if method.server_streaming else _answering(method, behaviour)
        decode = None if method.client_streaming else decoder_of(method)

        async def serve(request: Any, context: Context) -> bytes | None:
            try:
                call = self._admission.admit(method, context.invocation_metadata(), context.time_remaining())
            except (CallerTokenRefused, DomainError) as refusal:
                return await self._refuse(method, context, refusal)
            if self._tracer is None:
                return await handle(request, context, call)
            span = ServerSpan(self._tracer, method, call, context)
            with span as traced:
                return await handle(request, context, traced, span)

        async def handle(
            request: Any, context: Context, call: CallContext, span: ServerSpan | None = None
        ) -> bytes | None:
            with self.traffic, use(call):
                try:
                    if (fault := self._faults.get(self._service)) is not None:
                        await meet_fault(fault, context, self._clock)
                    return await answer(_read(method, decode, request, call), context)
                except grpc.aio.AbortError:
                    raise
                except (Exception, asyncio.CancelledError) as error:
                    if isinstance(error, asyncio.CancelledError) and is_cancelled():  # else it is the handler's own
                        raise
                    if span is not None and isinstance(error, DomainError):
                        span.refused(error.reason)
                    return await _end(method, context, error)

        return Served(method, serve, partial(self._refusal, method))

    async def _refuse(
        self, method: Method, context: Context, refusal: CallerTokenRefused | DomainError
    ) -> bytes | None:
        """Ends a call that is refused before its handler. It is recorded as every call is."""
        if self._tracer is None:
            return await _refuse(method, context, refusal)
        span = ServerSpan(self._tracer, method, position_of(context.invocation_metadata()), context)
        with span:
            span.refused(refusal.reason if isinstance(refusal, DomainError) else CALLER_TOKEN_REFUSED)
            return await _refuse(method, context, refusal)

    def _refusal(self, method: Method, metadata: Pairs) -> Status | None:
        try:
            self._admission.admit(method, metadata, None)
        except CallerTokenRefused as error:
            return _distrusted(error)
        except DomainError as error:
            return _status(method, error) or Status(grpc.StatusCode.UNKNOWN)
        return None


def _read(method: Method, decode: Decode | None, request: Any, call: CallContext) -> Any:
    """Decodes and checks a single request; a stream of requests is passed on. Raises DomainError."""
    if decode is None:
        return request
    message = decode(request)
    check_subject(method, call.caller, message)
    return message


def implements(servicer: object, method: Method) -> bool:
    """Returns whether a servicer defines that method, and does not only inherit it from generated code."""
    behaviour = getattr(servicer, method.name, None)
    return behaviour is not None and not getattr(behaviour, "__module__", "").endswith("_pb2_grpc")


def _behaviour(servicer: object, method: Method) -> Behaviour:
    if not implements(servicer, method):
        return _unimplemented
    behaviour: Behaviour = getattr(servicer, method.name)
    if not (inspect.iscoroutinefunction(behaviour) or inspect.isasyncgenfunction(behaviour)):
        raise ConfigurationError(f"{type(servicer).__name__}.{method.name} has to be asynchronous")
    return behaviour


async def _unimplemented(request: Any, context: Context) -> None:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not implemented!")


def _answering(method: Method, behaviour: Behaviour) -> Serve:
    output = method.output

    async def answer(request: Any, context: Context) -> bytes:
        response = await behaviour(request, context)
        if context.code() not in (None, grpc.StatusCode.OK):
            return b""
        if not isinstance(response, output):  # protobuf would encode any other message as well
            raise TypeError(f"{method.full_name} answered with {type(response).__name__}")
        return response.SerializeToString()

    return answer


def _streaming(behaviour: Behaviour) -> Serve:
    if inspect.iscoroutinefunction(behaviour):
        return behaviour

    async def stream(request: Any, context: Context) -> None:
        # Closed here, and not by the garbage collector, so that a handler that is cancelled while its answer is
        # written ends within its own call.
        async with aclosing(behaviour(request, context)) as responses:
            async for response in responses:
                await context.write(response)

    return stream


async def _end(method: Method, context: Context, error: BaseException) -> bytes | None:
    if context.done():
        raise error
    status = _status(method, error) if isinstance(error, DomainError) else None
    if isinstance(error, StoreUnavailable | Overloaded):
        _log.warning("a call could not be served now", method=method.full_name, error=str(error))
        context.set_details("")
        return await context.abort(grpc.StatusCode.UNAVAILABLE)
    if status is None:
        _log_failure(method, error)
        context.set_details("")
        return await context.abort(_unexpected_code(context))
    return await context.abort(status.code, status.details, (*(context.trailing_metadata() or ()), *status.trailing))


def _status(method: Method, error: DomainError) -> Status | None:
    """Returns the status for a refusal; None for a reason that the method's contract does not list."""
    reason = method.reasons.get(error.reason)
    if reason is None:
        return None
    return Status(reason.code, shortened(error.detail), ((STATUS_KEY, encode(error, reason.code, method.service)),))


async def _refuse(method: Method, context: Context, refusal: CallerTokenRefused | DomainError) -> bytes | None:
    if isinstance(refusal, DomainError):
        return await _end(method, context, refusal)
    await _distrust(method, context, refusal)
    return None


async def _distrust(method: Method, context: Context, refused: CallerTokenRefused) -> None:
    """Aborts a call whose token is refused. No contract lists this reason, so the caller gets UNAVAILABLE."""
    _log.warning("a caller token was refused", method=method.full_name, peer=context.peer(), reason=str(refused))
    await context.abort(*_distrusted(refused)[:3])


def _distrusted(refused: CallerTokenRefused) -> Status:
    code, status = grpc.StatusCode.UNAVAILABLE, DomainError(CALLER_TOKEN_REFUSED, str(refused))
    return Status(code, str(refused), ((STATUS_KEY, encode(status, code, PLATFORM)),))


def _log_failure(method: Method, error: BaseException) -> None:
    """Logs a failed handler: one line if a call to another service failed, otherwise with the stack trace."""
    if isinstance(error, grpc.aio.AioRpcError):
        _log.warning("a call failed for what it needs", method=method.full_name, error=str(error))
    else:
        _log.error("a call failed", method=method.full_name, exc_info=error)


def is_passing(error: BaseException) -> bool:
    """Returns whether an error is a refusal or a passing condition (absence, lateness, contention), not a bug."""
    return isinstance(error, _PASSING)


def _unexpected_code(context: Context) -> grpc.StatusCode:
    # As grpc.aio does: a code that the handler set before it failed is kept.
    code = context.code()
    return grpc.StatusCode.UNKNOWN if code in (None, grpc.StatusCode.OK) else code
