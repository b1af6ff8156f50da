"""The problems: the gateway's answers to requests that fail (RFC 9457).

Every failure of a request is a Problem: raised anywhere in the pipeline, written in one place. A failed call
whose reason the method's contract lists is answered as the contract says, with its details as members of the
document. The text of any other failure never leaves the gateway; it becomes one of three problems: the service
is unavailable, or its answer cannot be read; the answer is late; or there is an internal error.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest

from souk.descriptors.contract import Method, Reason
from souk.descriptors.protojson.names import lower_camel
from souk.descriptors.protojson.writer import dumps, writer_of
from souk.kernel.errors import FORBIDDEN, INVALID_REQUEST, UNAUTHENTICATED, Outcome, SoukError, Violation
from souk.rpc.call import CallFailed
from souk.rpc.metadata import REPLAYED

CONTENT_TYPE = b"application/problem+json"
DEFAULT_RETRY_AFTER = 1.0
_RETRYABLE = frozenset({429, 503})
_RESERVED = frozenset({"type", "title", "status", "detail", "code", "requestId", "errors"})


@dataclass(eq=False)
class Problem(SoukError):
    """An answer that is an error. `retry_after` is in seconds; 429 and 503 always send one, by default 1.

    `why` is the check that failed, one of a few words, and `who` the caller, if it is known: both are for the audit log
    and are never sent.
    """

    status: int
    code: str
    detail: str
    errors: Sequence[Violation] = ()
    members: Mapping[str, Any] = field(default_factory=dict)
    retry_after: float | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    why: str = ""
    who: str = ""

    def document(self, request_id: str) -> bytes:
        """Returns the body of the answer, as application/problem+json."""
        document: dict[str, Any] = {
            "type": f"/docs#{self.code}",
            "title": self.code.replace("_", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "requestId": request_id,
        }
        if self.errors:
            document["errors"] = [{"field": e.field, "detail": e.detail} for e in self.errors]
        document.update((name, value) for name, value in self.members.items() if name not in _RESERVED)
        return dumps(document)

    def all_headers(self) -> list[tuple[bytes, bytes]]:
        """Returns the headers of the answer: the content type, no-store, its own headers and Retry-After."""
        headers = [(b"content-type", CONTENT_TYPE), (b"cache-control", b"no-store"), *self.headers]
        if self.status in _RETRYABLE or self.retry_after is not None:
            seconds = DEFAULT_RETRY_AFTER if self.retry_after is None else self.retry_after
            headers.append((b"retry-after", str(max(1, math.ceil(seconds))).encode()))
        return headers


def not_found() -> Problem:
    """Makes the problem of a path without a route."""
    return Problem(404, "ROUTE_NOT_FOUND", "this path does not exist")


def method_not_allowed(allow: str) -> Problem:
    """Makes the problem of a path that has no route for the request's method."""
    return Problem(405, "METHOD_NOT_ALLOWED", f"this path takes {allow}", headers=((b"allow", allow.encode()),))


def invalid(errors: Sequence[Violation]) -> Problem:
    """Makes the problem of an invalid request; fields are named as in JSON."""
    return Problem(400, INVALID_REQUEST, "; ".join(f"{e.field}: {e.detail}" for e in errors)[:500], errors)


def unauthenticated(
    detail: str = "this call needs a valid bearer token", *, invalid_token: bool = False, why: str = "no credentials"
) -> Problem:
    """Makes the problem of a missing or an invalid token (RFC 6750, section 3)."""
    challenge = b'Bearer error="invalid_token"' if invalid_token else b"Bearer"
    return Problem(401, UNAUTHENTICATED, detail, headers=((b"www-authenticate", challenge),), why=why)


def forbidden(why: str = "", who: str = "") -> Problem:
    """Makes the problem of a known caller who lacks the permission."""
    return Problem(403, FORBIDDEN, "the caller may not do this", why=why, who=who)


def unavailable(service: str, retry_after: float | None = None) -> Problem:
    """Makes the problem of an unavailable service, which the code names."""
    code = f"{service.upper().replace('-', '_')}_UNAVAILABLE"
    return Problem(503, code, f"the {service} service is not available now", retry_after=retry_after)


def internal() -> Problem:
    """Makes the problem of an internal error; only the log says what failed."""
    return Problem(500, "INTERNAL", "something went wrong in the server")


def deadline_exceeded() -> Problem:
    """Makes the problem of a late answer; the request may have been carried out."""
    return Problem(504, "DEADLINE_EXCEEDED", "the request took too long; it may still have been carried out")


REPLAYED_HEADER = (b"idempotent-replayed", b"true")

_NO_ANSWER = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.DATA_LOSS})
"""Codes of a call without a readable answer. A service of Souk that fails answers with UNKNOWN instead."""


def problem_of(failed: CallFailed, method: Method) -> Problem:
    """Makes the Problem for a failed call of `method`."""
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
    """Returns the service's own details as members; standard ones, such as stack traces, never leave the gateway."""
    members: dict[str, Any] = {}
    for message in messages:
        if not message.DESCRIPTOR.full_name.startswith("google."):
            members.update(writer_of(message.DESCRIPTOR)(message))
    return members
