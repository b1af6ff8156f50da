"""An HTTP answer as the reply to a call, or as the status of its failure.

A reply is read tolerantly, since the service need not know the contract as it is now: unknown members are ignored,
null is no value, 64-bit integers may be text, and values of enums may have their prefix or not.

A failure that is a problem document (RFC 9457) with a `code` which the method's contract lists is that refusal, and so
is a status of 4xx that exactly one of the method's own reasons has. Any other failure is the gRPC code for its status,
and says nothing about whether the service has acted.
"""

from typing import Any, cast

import grpc
import orjson
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from souk.descriptors.contract import STANDARD_REASONS, Method, Reason
from souk.descriptors.http_rule import HttpRule
from souk.descriptors.http_shape import has_raw_answer
from souk.descriptors.protojson.names import enum_names, map_entry
from souk.descriptors.protojson.well_known import has_own_form
from souk.http1.client import HttpResponse
from souk.kernel.errors import DomainError, InvalidArgument, Violation
from souk.rpc.call import Status
from souk.rpc.status import STATUS_KEY, encode

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.ABORTED,
    412: grpc.StatusCode.FAILED_PRECONDITION,
    416: grpc.StatusCode.OUT_OF_RANGE,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    499: grpc.StatusCode.CANCELLED,
    500: grpc.StatusCode.INTERNAL,
    501: grpc.StatusCode.UNIMPLEMENTED,
    502: grpc.StatusCode.UNAVAILABLE,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""google/rpc/code.proto names the status of each code; 422 and 502 are added."""


class ReplyReader:
    """Reads the answers to one method, by one rule."""

    def __init__(self, method: Method, rule: HttpRule) -> None:
        self._method, self._rule = method, rule
        self._message = cast(Descriptor, method.output.DESCRIPTOR)
        self._raw = has_raw_answer(method, rule)

    def reply(self, response: HttpResponse) -> Message:
        """Returns the reply of a success. Raises ValueError when the body is not what the contract says."""
        if self._raw:
            file = {"content_type": response.headers.get("content-type", ""), "data": response.body}
            return self._method.output(**({self._rule.response_body: file} if self._rule.response_body else file))
        reply = self._method.output()
        if not response.body:
            return reply
        value = orjson.loads(response.body)
        if self._rule.response_body:
            value = {self._message.fields_by_name[self._rule.response_body].json_name: value}
        if not isinstance(value, dict) and not has_own_form(self._message):
            raise ValueError("the answer is no object")
        try:
            json_format.ParseDict(_with_prefixes(value, self._message), reply, ignore_unknown_fields=True)
        except (json_format.ParseError, RecursionError) as error:
            raise ValueError(str(error)) from error
        return reply

    def failure(self, response: HttpResponse) -> Status:
        """Returns the status of a failure."""
        document = _document(response)
        reason = self._reason(response.status, document.get("code"))
        detail = str(document.get("detail") or document.get("title") or f"status {response.status}")[:1_000]
        code = _CODES.get(response.status)
        if code is None:
            client_s = 400 <= response.status < 500
            code = grpc.StatusCode.FAILED_PRECONDITION if client_s else grpc.StatusCode.UNKNOWN
        if reason is None:
            return Status(code, detail)
        error = _error(reason, detail, document, _seconds(response.headers.get("retry-after", "")))
        encoded = encode(error, reason.code, self._method.service)
        return Status(reason.code, detail, ((STATUS_KEY, encoded),))

    def _reason(self, status: int, code: object) -> Reason | None:
        if isinstance(code, str) and code in self._method.reasons:
            return self._method.reasons[code]
        listed = self._method.reasons.values()
        own = [one for one in listed if one.name not in STANDARD_REASONS and one.http_status == status]
        return own[0] if len(own) == 1 and 400 <= status < 500 and code is None else None


def _document(response: HttpResponse) -> dict[str, Any]:
    try:
        value = orjson.loads(response.body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _error(reason: Reason, detail: str, document: dict[str, Any], retry_after: float | None) -> DomainError:
    errors = document.get("errors")
    if isinstance(errors, list) and reason.code is grpc.StatusCode.INVALID_ARGUMENT:
        found = [one for one in errors if isinstance(one, dict)]
        violations = [Violation(str(one.get("field", "")), str(one.get("detail", ""))) for one in found]
        if violations:
            return InvalidArgument(violations)
    return DomainError(reason.name, detail, retry_after=retry_after)


def _seconds(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _with_prefixes(value: Any, message: Descriptor) -> Any:
    """Returns JSON with the names of enum values as the contract has them."""
    if not isinstance(value, dict) or has_own_form(message):
        return value
    fields = {field.json_name: field for field in message.fields}
    return {name: _of_field(item, fields[name]) if name in fields else item for name, item in value.items()}


def _of_field(value: Any, field: FieldDescriptor) -> Any:
    if (entry := map_entry(field)) and isinstance(value, dict):
        return {name: _of_one(item, entry[1]) for name, item in value.items()}
    return [_of_one(item, field) for item in value] if isinstance(value, list) else _of_one(value, field)


def _of_one(value: Any, field: FieldDescriptor) -> Any:
    if field.message_type is not None:
        return _with_prefixes(value, field.message_type)
    if field.enum_type is None or not isinstance(value, str):
        return value
    return next((number for number, name in enum_names(field.enum_type).items() if name == value), value)
