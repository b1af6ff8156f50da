"""The types of one call: what passes between a stub, the layers around the call and a transport.

A `Layer` wraps an `Invoke` in another: retry, breaker, bulkhead, balancer. Layers work with encoded
messages, so that a call can be tried again and no message changes while a layer holds it.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeAlias

import grpc
import grpc.aio
from google.protobuf.message import Message

from souk.descriptors.contract import Method, Reason
from souk.kernel.errors import Outcome
from souk.rpc.status import NO_DETAILS, STATUS_KEY, StatusDetails, details_of
from souk.telemetry.tracing.span import Span

Pairs: TypeAlias = tuple[tuple[str, str | bytes], ...]
"""Metadata as it is sent: pairs of key and value."""

Decode: TypeAlias = Callable[[bytes], Any]
"""Decodes a message. Raises for octets that are no message."""


class Status(NamedTuple):
    """How a call ended. `sent` is false when the call was provably never sent."""

    code: grpc.StatusCode
    details: str = ""
    trailing: Pairs = ()
    sent: bool = True


class Call(NamedTuple):
    """One call to make. Immutable: a layer that needs another one uses `_replace`.

    `request` is the encoded message. `deadline` is a point on the monotonic clock, in seconds; a
    layer may only bring it nearer. `idempotency_key` is empty for a call without one. `instance` is
    the address that a balancer has chosen, empty when the transport may choose; `avoid` are the addresses
    that earlier tries went to. `decode` reads the answer for the caller; None leaves it encoded.
    `resends` counts the tries before this one, and `span` records it; None while nothing is traced.
    """

    method: Method
    request: bytes
    metadata: Pairs
    deadline: float
    idempotency_key: str = ""
    wait_for_ready: bool = False
    instance: str = ""
    avoid: frozenset[str] = frozenset()
    decode: Decode | None = None
    resends: int = 0
    span: Span | None = None


class Reply(NamedTuple):
    """The answer to a call: the encoded message, and the metadata before and after it.

    `decoded` is what the call's `decode` made of the message; None where it has not been decoded yet.
    """

    message: bytes
    initial_metadata: Pairs = ()
    trailing_metadata: Pairs = ()
    decoded: Any = None


Invoke: TypeAlias = Callable[[Call], Awaitable[Reply]]
"""Makes a call. Raises CallFailed, and nothing else but CancelledError; cancelling it cancels the call."""

Layer: TypeAlias = Callable[[Invoke], Invoke]
"""Wraps an `Invoke` in another one that adds one concern."""


class CallFailed(grpc.aio.AioRpcError):
    """The error that stubs raise for a call that was not answered. Code that only knows gRPC sees an `AioRpcError`.

    `outcome` says whether the callee refused, was not asked, or may have acted. `reason` is the callee's own, empty
    unless REFUSED; `final` says that a retry can end in no other way. `messages` are the typed details of the status,
    and `retry_after` is its advice in seconds.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        initial_metadata: grpc.aio.Metadata | None = None,
        trailing_metadata: grpc.aio.Metadata | None = None,
        details: str | None = None,
        debug_error_string: str | None = None,
        *,
        outcome: Outcome = Outcome.UNKNOWN,
        refusal: Reason | None = None,
        status: StatusDetails = NO_DETAILS,
    ) -> None:
        super().__init__(code, initial_metadata, trailing_metadata, details, debug_error_string)
        self.outcome = outcome
        self.refusal = refusal
        self.reason = refusal.name if refusal is not None else ""
        self.messages: tuple[Message, ...] = status.messages
        self.retry_after = status.retry_after

    @property
    def detail(self) -> str:
        """The callee's text for humans."""
        return self.details() or ""

    @property
    def status(self) -> bytes:
        """The serialised google.rpc.Status that came with the error; empty when there was none."""
        return next((v for k, v in self.trailing_metadata() or () if k == STATUS_KEY and isinstance(v, bytes)), b"")

    @property
    def final(self) -> bool:
        """Whether the contract says that a retry can end in no other way."""
        return self.refusal is not None and self.refusal.final

    @property
    def breaker_failure(self) -> bool:
        """Whether a circuit breaker counts the error against the callee."""
        return self.refusal is None or self.refusal.breaker_failure

    def __str__(self) -> str:
        return f"{self.code().name} ({self.outcome.value}) {self.reason} {self.detail}".strip()


def failed(method: Method | None, status: Status, initial: Pairs = ()) -> CallFailed:
    """Makes the error for a status: REFUSED if it comes from the callee and the method's contract lists its reason."""
    trailing = grpc.aio.Metadata.from_tuple(status.trailing)
    details = details_of(status.trailing)
    refusal = None
    if method is not None and details.domain == method.service:
        refusal = method.reasons.get(details.reason)
    outcome = Outcome.NOT_SENT if not status.sent else Outcome.UNKNOWN if refusal is None else Outcome.REFUSED
    before = grpc.aio.Metadata.from_tuple(initial)
    return CallFailed(status.code, before, trailing, status.details, outcome=outcome, refusal=refusal, status=details)


UNREADABLE = Status(grpc.StatusCode.INTERNAL, "Exception deserializing response!")


def reply_to(call: Call, message: bytes, initial: Pairs, trailing: Pairs) -> Reply:
    """Makes the reply to a call from what another process has answered.

    The message is decoded here, beneath every layer: an instance that answers octets which are no message has
    failed this try, and breaker, ejection and retry must count it. For such octets it raises CallFailed with the
    code INTERNAL and the outcome UNKNOWN, and without the answer's metadata, which cannot be trusted then.
    """
    if call.decode is None:
        return Reply(message, initial, trailing)
    return Reply(message, initial, trailing, decoded(call, message))


def decoded(call: Call, message: bytes) -> Any:
    """Decodes a message for the caller. Raises CallFailed when it is not readable."""
    try:
        return message if call.decode is None else call.decode(message)
    except Exception as error:
        raise failed(call.method, UNREADABLE) from error


def not_sent(details: str, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> CallFailed:
    """Makes the error for a call that was never sent; for layers and transports."""
    return CallFailed(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details, outcome=Outcome.NOT_SENT)


def failure_of(error: grpc.aio.AioRpcError) -> CallFailed:
    """Turns any gRPC error into a CallFailed; one that did not come through a Souk channel is UNKNOWN."""
    if isinstance(error, CallFailed):
        return error
    initial, trailing = error.initial_metadata(), error.trailing_metadata()
    return failed(None, Status(error.code(), error.details() or "", tuple(trailing or ())), tuple(initial or ()))
