"""The handler's context of a call in process or over Connect. It behaves as grpc.aio's, quirks included."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, NoReturn, Protocol

import grpc
import grpc.aio

from souk.kernel.clock import Clock
from souk.rpc.call import Call, Pairs, Status
from souk.rpc.message_pipe import Pipe
from souk.rpc.metadata import LIMIT, Given, checked, size
from souk.rpc.transport import MESSAGE_LIMIT
from souk.telemetry.logs import logger
from souk.telemetry.tracing.calling import IN_PROCESS

PEER = "inproc:souk"
_FINISHED = "RPC already finished."
_USER_AGENT = ("user-agent", "souk-in-process")

_log = logger("rpc")


class CallerEnd(Protocol):
    """Receives the answer for the caller: initial metadata, then the status with the message of a unary answer."""

    def began(self, initial: Pairs) -> None: ...
    def finished(self, status: Status, message: bytes | None) -> None: ...


class HandlerContext(grpc.aio.ServicerContext[Any, Any]):
    """One call, for its handler. `requests` and `responses` are None where a single message is sent.
    `system` is what has carried it, for its span."""

    system = IN_PROCESS

    def __init__(
        self, call: Call, clock: Clock, caller: CallerEnd, requests: Pipe | None = None, responses: Pipe | None = None
    ) -> None:
        self._call = call
        self._clock = clock
        self._caller = caller
        self._requests = requests
        self._responses = responses
        self._began = False
        self._over = False
        self._aborted: grpc.aio.AbortError | None = None
        self._code: grpc.StatusCode | None = None
        self._details = ""
        self._trailing: Pairs = ()
        self._callbacks: list[Callable[[Any], None]] = []

    # Called by the transport.

    def complete(self, message: bytes | None) -> None:
        """Ends the call after the handler has returned, with the status that the handler set, or OK."""
        if message is not None and len(message) > MESSAGE_LIMIT:
            self.finish(too_large("CLIENT", message))
        else:
            self.finish(Status(self._code or grpc.StatusCode.OK, self._details, self._trailing), message)

    def finish(self, status: Status, message: bytes | None = None) -> None:
        """Ends the call with a status. Does nothing if the call is over."""
        if self._over:
            return
        self._over = True
        status = _carried(status)
        self._code = status.code
        if not self._began:
            self._begin(())
        for pipe in (self._requests, self._responses):
            if pipe is not None:
                pipe.close()
        self._caller.finished(status, message)

    def abandon(self) -> None:
        """Discards the messages in both directions, as the caller no longer waits."""
        for pipe in (self._requests, self._responses):
            if pipe is not None:
                pipe.discard()

    def call_back(self) -> None:
        """Runs the handler's done callbacks after the handler has ended."""
        for callback in self._callbacks:
            try:
                callback(self)
            except Exception:
                _log.exception("a done callback failed", method=self._call.method.full_name)

    async def messages(self) -> AsyncIterator[Any]:
        """Iterates over the caller's stream of requests."""
        while (message := await self.read()) is not grpc.aio.EOF:
            yield message

    # Called by the handler.

    async def read(self) -> Any:
        self._raise_if_over()
        message = await _existing(self._requests).get()
        self._raise_if_over()
        return grpc.aio.EOF if message is None else self._call.method.input.FromString(message)

    async def write(self, message: Any) -> None:
        self._raise_if_over()
        encoded = self._call.method.output.SerializeToString(message)
        if not self._began:
            self._begin(())
        if len(encoded) > MESSAGE_LIMIT:
            self.finish(too_large("CLIENT", encoded))
        elif not await _existing(self._responses).put(encoded):
            raise grpc.aio.InternalError("the caller is gone")

    async def send_initial_metadata(self, initial_metadata: Given) -> None:
        self._raise_if_over()
        if self._began:
            raise grpc.aio.UsageError("Send initial metadata failed: already sent")
        try:
            self._begin(checked(initial_metadata))
        except (grpc.aio.InternalError, TypeError):
            self.finish(_INVALID_METADATA)
            raise

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Given = ()) -> NoReturn:
        if self._aborted is not None:
            raise grpc.aio.UsageError("Abort already called!")
        self._aborted = grpc.aio.AbortError("Locally aborted.")
        self._trailing = tuple(trailing_metadata or ()) or self._trailing
        self._details = details or self._details
        self.finish(Status(code, self._details, self._trailing))
        raise self._aborted

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        await self.abort(status.code, status.details, status.trailing_metadata)

    def set_trailing_metadata(self, trailing_metadata: Given) -> None:
        self._trailing = tuple(trailing_metadata or ())

    def trailing_metadata(self) -> Any:
        return self._trailing

    def invocation_metadata(self) -> Any:
        return (_USER_AGENT, *self._call.metadata)

    def set_code(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> Any:
        return self._code

    def set_details(self, details: str) -> None:
        self._details = details

    def details(self) -> str:
        return self._details

    def set_compression(self, compression: grpc.Compression) -> None:
        if self._began:
            raise RuntimeError("Compression setting must be specified before sending initial metadata")

    def disable_next_message_compression(self) -> None:
        """Nothing is compressed inside a process."""

    def peer(self) -> str:
        return PEER

    def peer_identities(self) -> Iterable[bytes] | None:
        return None

    def peer_identity_key(self) -> str | None:
        return None

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        return {}

    def time_remaining(self) -> float:
        return max(self._call.deadline - self._clock.monotonic(), 0.0)

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self._callbacks.append(callback)

    def done(self) -> bool:
        return self._over

    def cancelled(self) -> bool:
        # As grpc.aio has it: a caller's cancellation reaches the handler as CancelledError, not here.
        return self._code is grpc.StatusCode.CANCELLED

    def _begin(self, initial: Pairs) -> None:
        self._began = True
        if size(initial) > LIMIT:
            self.finish(_TOO_MUCH_METADATA)
        else:
            self._caller.began(initial)

    def _raise_if_over(self) -> None:
        if self._aborted is not None:
            raise self._aborted
        if self._over:
            raise grpc.aio.UsageError(_FINISHED)


_INVALID_METADATA = Status(grpc.StatusCode.INTERNAL, "Invalid metadata")
_TOO_MUCH_METADATA = Status(
    grpc.StatusCode.RESOURCE_EXHAUSTED, f"received metadata size exceeds hard limit (vs. {LIMIT})"
)


def too_large(receiver: str, message: bytes) -> Status:
    """Returns the status for a message over the limit, in gRPC's words; `receiver` is CLIENT or SERVER."""
    text = f"{receiver}: Received message larger than max ({len(message)} vs. {MESSAGE_LIMIT})"
    return Status(grpc.StatusCode.RESOURCE_EXHAUSTED, text)


def _carried(status: Status) -> Status:
    """Returns the status as it would arrive: INTERNAL or RESOURCE_EXHAUSTED if its metadata breaks the rules."""
    if not status.trailing:
        return status
    try:
        trailing = checked(status.trailing)
    except (grpc.aio.InternalError, TypeError):
        return _INVALID_METADATA
    return _TOO_MUCH_METADATA if size(trailing) > LIMIT else status._replace(trailing=trailing)


def _existing(pipe: Pipe | None) -> Pipe:
    if pipe is None:
        raise grpc.aio.UsageError("this call is no stream in that direction")
    return pipe
