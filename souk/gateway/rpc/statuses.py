"""Turns what went wrong into the status that a client of gRPC, gRPC-Web or Connect gets.

It says what the Problem of the same failure says: the same text, and its code as the reason in google.rpc.ErrorInfo.
What a contract promises as a reason passes with its details; the text of any other failure stays inside, unless the
service's contract promises no reasons at all: a service of another house may then say what it likes.
"""

from collections.abc import Iterable, Mapping

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2

from souk.descriptors.contract import Method
from souk.gateway.http.problem import DEFAULT_RETRY_AFTER, Problem, problem_of
from souk.kernel.status_codec import decode_status, encode_status
from souk.rpc.call import CallFailed, Pairs, Status
from souk.rpc.metadata import RESERVED_PREFIX
from souk.rpc.status import STATUS_KEY

DOMAIN = "gateway"
"""The domain of the reasons that the gateway itself gives."""

_Code = grpc.StatusCode
_CODES: Mapping[int, grpc.StatusCode] = {
    400: _Code.INVALID_ARGUMENT,
    401: _Code.UNAUTHENTICATED,
    403: _Code.PERMISSION_DENIED,
    404: _Code.NOT_FOUND,
    408: _Code.CANCELLED,
    409: _Code.ABORTED,
    413: _Code.RESOURCE_EXHAUSTED,
    415: _Code.INVALID_ARGUMENT,
    429: _Code.RESOURCE_EXHAUSTED,
    431: _Code.RESOURCE_EXHAUSTED,
    500: _Code.INTERNAL,
    502: _Code.UNAVAILABLE,
    503: _Code.UNAVAILABLE,
    504: _Code.DEADLINE_EXCEEDED,
}
UNKNOWN_ENCODING, WRONG_COUNT = "UNKNOWN_ENCODING", "WRONG_NUMBER_OF_MESSAGES"
WRONG_FLAGS, CUT_OFF = "WRONG_FLAGS", "CUT_OFF"
_BROKEN_RULES = {
    UNKNOWN_ENCODING: _Code.UNIMPLEMENTED,
    WRONG_COUNT: _Code.UNIMPLEMENTED,
    WRONG_FLAGS: _Code.INTERNAL,
    CUT_OFF: _Code.INVALID_ARGUMENT,
}
"""The codes of requests that break the rules of the protocol, as the specifications ask; they come without details."""
_HIDDEN = ("google.rpc.DebugInfo", "google.rpc.RequestInfo")


def status_of(problem: Problem) -> Status:
    """Makes the status of a Problem of the gateway."""
    if problem.code in _BROKEN_RULES:
        return Status(_BROKEN_RULES[problem.code], problem.detail)
    chosen = _CODES.get(problem.status, _Code.UNKNOWN)
    encoded = encode_status(chosen.value[0], problem.detail, _details(problem))
    return Status(chosen, problem.detail, ((STATUS_KEY, encoded),))


def shown(failed: CallFailed, method: Method, *, promises: bool) -> Status:
    """Makes the status of a failed call of a service. `promises` says whether its contract lists reasons."""
    trailing = tuple(failed.trailing_metadata() or ())
    if failed.refusal is None and promises:
        return status_of(problem_of(failed, method))
    if failed.refusal is None:
        return Status(failed.code(), failed.detail, public(trailing))
    return Status(failed.code(), failed.detail, public(_without_hidden(trailing, failed)))


def public(pairs: Iterable[tuple[str, str | bytes]]) -> Pairs:
    """Returns the metadata of an answer that may leave the gateway: all but the platform's own."""
    return tuple(pair for pair in pairs if not pair[0].startswith(RESERVED_PREFIX) and pair[0] != "date")


def _without_hidden(trailing: Pairs, failed: CallFailed) -> Pairs:
    return tuple((key, _cleaned(value, failed) if key == STATUS_KEY else value) for key, value in trailing)


def _cleaned(raw: str | bytes, failed: CallFailed) -> str | bytes:
    assert isinstance(raw, bytes), "a key that ends in -bin has octets"
    details = decode_status(raw).details
    kept = [each for each in details if each.DESCRIPTOR.full_name not in _HIDDEN]
    if len(kept) == len(details):
        return raw
    return encode_status(failed.code().value[0], failed.detail, kept)


def _details(problem: Problem) -> Iterable[Message]:
    yield error_details_pb2.ErrorInfo(reason=problem.code, domain=DOMAIN)
    if problem.retry_after is not None or problem.status in (429, 503):
        wait = DEFAULT_RETRY_AFTER if problem.retry_after is None else problem.retry_after
        info = error_details_pb2.RetryInfo()
        info.retry_delay.FromNanoseconds(round(wait * 1e9))
        yield info
    if problem.errors:
        violation = error_details_pb2.BadRequest.FieldViolation
        yield error_details_pb2.BadRequest(
            field_violations=[violation(field=each.field, description=each.detail) for each in problem.errors]
        )
