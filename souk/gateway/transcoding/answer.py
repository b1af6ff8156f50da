"""A method's reply as an HTTP answer: its JSON, one field of it, or the raw octets of a google.api.HttpBody."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from souk.descriptors.contract import Access, Method, Policy
from souk.descriptors.http_rule import HttpRule
from souk.descriptors.protojson.well_known import HTTP_BODY
from souk.descriptors.protojson.writer import dumps, field_writer, writer_of
from souk.gateway.http.answers import JSON, Headers, HttpAnswer

_NO_STORE = (b"cache-control", b"no-store")
_PRIVATE = (b"cache-control", b"private, no-cache")
"""Of answers that are for one caller. A shared cache keeps no answer to a request with `Authorization` anyway
(RFC 9111, 3.5), but it knows nothing of API keys."""
_SANDBOX = (b"content-security-policy", b"sandbox; default-src 'none'")
"""Of raw files: one that somebody else wrote, and that a browser shows as a page, runs no script in our name."""
_CONTENT_TYPE = re.compile(r"[!-~]+/[!-~ ]+")
_VARIABLE = re.compile(r"\{(\w+)\}")
_UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]*")
OCTETS = "application/octet-stream"


class AnswerWriter:
    """Writes the replies of one method under one rule. Raises ValueError when the rule does not fit the method."""

    def __init__(self, method: Method, rule: HttpRule) -> None:
        self._policy = method.policy
        message = cast(Descriptor, method.output.DESCRIPTOR)
        self._write = writer_of(message)
        self._location = _location(method.policy.location, message)
        self._states = _states(method)
        self._part, self._write_part = _part(message, rule.response_body)
        raw = message if self._part == "" else message.fields_by_name[self._part].message_type
        self.raw = raw is not None and raw.full_name == HTTP_BODY
        """Whether the body is the octets of an HttpBody."""
        self.headers: Headers = _standing(method.policy, raw=self.raw)
        """Headers of every answer of the method."""

    def answer(self, reply: Message, besides: Sequence[tuple[bytes, bytes]] = ()) -> HttpAnswer:
        """Makes the HTTP answer for a reply; `besides` are headers that it also has."""
        policy = self._policy
        headers: Headers = [*besides, *self.headers]
        if isinstance(reply, Empty):
            return HttpAnswer(204 if policy.success_status == 200 else policy.success_status, headers)
        if self.raw:
            body = self.octets(reply)
            headers.append((b"content-type", content_type(body)))
            return HttpAnswer(policy.success_status, headers, body.data)
        written = self._write(reply)
        if self._location is not None:
            headers.append((b"location", self._location(written)))
        headers.append(JSON)
        status = self._states(written) if self._states is not None else policy.success_status
        return HttpAnswer(status, headers, dumps(written if self._part == "" else self.shown(reply)))

    def octets(self, reply: Message) -> HttpBody:
        """Returns the HttpBody of a reply."""
        return cast(HttpBody, reply if self._part == "" else getattr(reply, self._part))

    def shown(self, reply: Message) -> Any:
        """Returns what the body of the answer says, ready for `dumps`: the reply, or its field that the rule names."""
        if self._part == "":
            return self._write(reply)
        value = getattr(reply, self._part)
        return value if self._write_part is None else self._write_part(value)


def _standing(policy: Policy, *, raw: bool) -> Headers:
    headers = [_NO_STORE] if policy.no_store else [_PRIVATE] if policy.access is Access.CALLER else []
    return [*headers, _SANDBOX] if raw else headers


def content_type(body: HttpBody) -> bytes:
    """Returns the content type of an HttpBody, as a header; octets if it has none that can be one."""
    kind = body.content_type
    return (kind if _CONTENT_TYPE.fullmatch(kind) else OCTETS).encode()


def _part(message: Descriptor, name: str) -> tuple[str, Callable[[Any], Any] | None]:
    if not name:
        return "", None
    field: FieldDescriptor | None = message.fields_by_name.get(name)
    if field is None:
        raise ValueError(f"{message.full_name} has no field {name} for the response body")
    return name, field_writer(field)


def _location(template: str, message: Descriptor) -> Callable[[Mapping[str, Any]], bytes] | None:
    if not template:
        return None
    first, *rest = _VARIABLE.split(template)  # text, name, text, name, text
    names = [message.fields_by_name[name].json_name for name in rest[::2]]
    after = list(zip(names, rest[1::2], strict=True))

    def location(written: Mapping[str, Any]) -> bytes:
        made = first
        for name, text in after:
            made += _quoted(str(written[name])) + text
        return made.encode()

    return location


def _quoted(text: str) -> str:
    return text if _UNRESERVED.fullmatch(text) else quote(text, safe="")


def _states(method: Method) -> Callable[[Mapping[str, Any]], int] | None:
    policy, fields = method.policy, method.output.DESCRIPTOR.fields_by_name
    if not policy.success_states:
        return None
    states = [(fields[state.field].json_name, state.value, state.http_status) for state in policy.success_states]

    def status(written: Mapping[str, Any]) -> int:
        for name, value, http_status in states:
            if str(written.get(name)) == value:
                return http_status
        return policy.success_status

    return status
