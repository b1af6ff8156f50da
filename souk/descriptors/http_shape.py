"""Which methods HTTP can carry, and how: one reply or a stream of them, one request or a stream of octets."""

from typing import cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from souk.descriptors.contract import Access, Method
from souk.descriptors.http_rule import WHOLE, HttpRule
from souk.descriptors.protojson.well_known import HTTP_BODY


def rules_served(method: Method) -> tuple[HttpRule, ...]:
    """Returns the rules by which the outside may call a method.

    A method that takes a stream is served where its body is a google.api.HttpBody, as an upload in parts, and if it
    answers once.
    """
    if method.policy.access not in (Access.ANYONE, Access.CALLER):
        return ()
    if not method.client_streaming:
        return method.http
    return () if method.server_streaming else tuple(rule for rule in method.http if has_raw_body(method, rule))


def has_raw_body(method: Method, rule: HttpRule) -> bool:
    """Whether the body of a request is a google.api.HttpBody: octets of any content type."""
    return _is_raw(cast(Descriptor, method.input.DESCRIPTOR), "" if rule.body == WHOLE else rule.body, bool(rule.body))


def has_raw_answer(method: Method, rule: HttpRule) -> bool:
    """Whether the body of an answer is a google.api.HttpBody."""
    return _is_raw(cast(Descriptor, method.output.DESCRIPTOR), rule.response_body, True)


def _is_raw(message: Descriptor, part: str, there: bool) -> bool:
    if not part:
        return there and message.full_name == HTTP_BODY
    field: FieldDescriptor | None = message.fields_by_name.get(part)
    inner = field.message_type if field is not None and not field.is_repeated else None
    return inner is not None and inner.full_name == HTTP_BODY
