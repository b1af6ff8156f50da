"""From a failed call to a Problem.

A reason that the method's contract lists is answered as the contract says, with its details as
members of the document. Everything else is one of three: the service is away, or talks nonsense, which
is no better; the answer is late; or something is wrong on this side.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest

from souk.descriptors.contract import Method, Reason
from souk.descriptors.protojson.names import lower_camel
from souk.descriptors.protojson.writer import writer_of
from souk.gateway.http.problem import Problem, deadline_exceeded, internal, invalid, unauthenticated, unavailable
from souk.kernel.errors import Outcome, Violation
from souk.rpc.call import CallFailed
from souk.rpc.metadata import REPLAYED

REPLAYED_HEADER = (b"idempotent-replayed", b"true")

_NO_ANSWER = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.DATA_LOSS})
"""Nobody is there, or what came back cannot be read: a service of ours that fails says UNKNOWN."""


def problem_of(failed: CallFailed, method: Method) -> Problem:
    """The Problem that a failed call of `method` is to its client."""
    if failed.refusal is not None:
        return _refused(failed, failed.refusal)
    if failed.outcome is Outcome.NOT_SENT or failed.code() in _NO_ANSWER:
        return unavailable(method.service, failed.retry_after)
    if failed.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return deadline_exceeded()
    return internal()


def _refused(failed: CallFailed, reason: Reason) -> Problem:
    errors = [
        Violation(lower_camel(violation.field), violation.description)
        for message in failed.messages
        if isinstance(message, BadRequest)
        for violation in message.field_violations
    ]
    return Problem(
        reason.http_status,
        reason.name,
        invalid(errors).detail if errors else failed.detail,
        errors,
        members=_members(failed.messages),
        retry_after=failed.retry_after,
        headers=tuple(_headers(failed, reason)),
    )


def _headers(failed: CallFailed, reason: Reason) -> Iterator[tuple[bytes, bytes]]:
    if reason.http_status == 401:
        yield from unauthenticated().headers
    if REPLAYED in tuple(failed.trailing_metadata() or ()):
        yield REPLAYED_HEADER


def _members(messages: Iterable[Message]) -> dict[str, Any]:
    """What the service itself says; the standard details (stack traces among them) never leave."""
    members: dict[str, Any] = {}
    for message in messages:
        if not message.DESCRIPTOR.full_name.startswith("google."):
            members.update(writer_of(message.DESCRIPTOR)(message))
    return members
