"""Transcodes between HTTP and one method: path, query, headers and body to its request, its reply to an answer.

A transcoder is compiled once per HTTP rule. With `body: "*"` the body holds every field that the path does not
hold. Without a body the query holds them. With a field's name the body is that field and the query holds the rest.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from souk.descriptors.contract import HttpRule, Method
from souk.descriptors.limits import KEY, Fits, in_words, test_of
from souk.descriptors.protojson.names import must_be_given
from souk.descriptors.protojson.reader import JsonReader
from souk.descriptors.protojson.scalars import Read, text_reader
from souk.descriptors.protojson.walk import ROOT, Walk
from souk.descriptors.protojson.writer import dumps, writer_of
from souk.gateway.http.problem import invalid
from souk.gateway.http.query import query_fields, read_query
from souk.gateway.http.routes import Template, decoded
from souk.kernel.errors import InvalidArgument, Violation

JSON = (b"content-type", b"application/json")
_NO_STORE = (b"cache-control", b"no-store")


Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A complete HTTP answer. The gateway adds the content length and its own headers when it sends it."""

    status: int
    headers: Headers
    body: bytes = b""


class Transcoder:
    """The transcoder of one method under one HTTP rule. Raises ValueError when the rule does not fit the method."""

    def __init__(self, method: Method, rule: HttpRule) -> None:
        self.method, self.rule = method, rule
        message = cast(Descriptor, method.input.DESCRIPTOR)
        self._variables = [_Variable.of(message, name) for name in Template.parse(rule.path).variables]
        bound = [variable.name for variable in self._variables]
        self._body = _body_reader(message, rule, bound, method.policy.idempotency_field)
        self._query = query_fields(message, {*bound, rule.body}) if rule.body != "*" else {}
        self._required = [f for f in self._query.values() if must_be_given(f.field)]
        key = message.fields_by_name.get(method.policy.idempotency_field)
        self._key = (key.name, key.json_name) if key is not None else None
        self._write = writer_of(method.output.DESCRIPTOR)
        self._location = _location(method.policy.location, cast(Descriptor, method.output.DESCRIPTOR))
        self._states = _states(method)

    @property
    def takes_body(self) -> bool:
        """Whether the rule has a body."""
        return self._body is not None

    def key_of(self, request: Message) -> str:
        """Returns the idempotency key of a request; empty when the method has none."""
        return getattr(request, self._key[0]) if self._key is not None else ""

    def request(self, variables: Sequence[str], query: bytes, body: bytes, key: str) -> Message:
        """Makes the method's request. Raises Problem 400, which names every field that is wrong."""
        arguments = self._read_body(body)
        walk = Walk()
        for variable, segment in zip(self._variables, variables, strict=True):
            arguments[variable.name] = variable.value(segment, walk)
        if query or self._required:
            read_query(query, self._query, arguments, walk)
        if self._key is not None:
            _merge_key(*self._key, key, arguments, walk)
        if walk.violations:
            raise invalid(walk.violations)
        return self.method.input(**arguments)

    def _read_body(self, body: bytes) -> dict[str, Any]:
        if self._body is None:
            return {}
        if not body:
            if self._body.needs_body:
                raise invalid([Violation("body", "must be given")])
            return {}
        try:
            read = self._body.read(body)
        except InvalidArgument as error:
            raise invalid(error.violations) from None
        return read if self.rule.body == "*" else {self.rule.body: read}

    def answer(self, reply: Message, besides: Sequence[tuple[bytes, bytes]] = ()) -> HttpAnswer:
        """Makes the HTTP answer for a reply; `besides` are headers that it also has."""
        policy = self.method.policy
        headers: Headers = [*besides]
        if policy.no_store:
            headers.append(_NO_STORE)
        if isinstance(reply, Empty):
            return HttpAnswer(204 if policy.success_status == 200 else policy.success_status, headers)
        written = self._write(reply)
        if self._location is not None:
            headers.append((b"location", self._location(written)))
        headers.append(JSON)
        status = self._states(written) if self._states is not None else policy.success_status
        return HttpAnswer(status, headers, dumps(written))


@dataclass(frozen=True, slots=True)
class _Variable:
    """One variable of a path."""

    name: str
    label: str
    read: Read

    @classmethod
    def of(cls, message: Descriptor, name: str) -> "_Variable":
        field = message.fields_by_name.get(name)
        if field is None or field.message_type is not None or field.is_repeated:
            raise ValueError(f"{message.full_name} has no single field {name} for the path")
        return cls(name, field.json_name, text_reader(field))

    def value(self, segment: str, walk: Walk) -> object:
        text = decoded(segment)
        if text is None:
            return walk.refuse(ROOT, self.label, "is not UTF-8")
        return self.read(text, walk, ROOT, self.label)


def _body_reader(message: Descriptor, rule: HttpRule, bound: list[str], key: str) -> JsonReader | None:
    if not rule.body:
        return None
    if rule.body == "*":
        return JsonReader(message, elsewhere=bound, waived=[key] if key else [])
    field: FieldDescriptor | None = message.fields_by_name.get(rule.body)
    if field is None or field.message_type is None or field.is_repeated:
        raise ValueError(f"{message.full_name} has no message {rule.body} for the body")
    return JsonReader(field.message_type)


_is_key = cast(Fits, test_of(KEY))


def _merge_key(name: str, label: str, header: str, arguments: dict[str, Any], walk: Walk) -> None:
    """Sets the idempotency key from the header or the field, which must agree if both are given."""
    given = arguments.get(name, "")
    if header and given and header != given:
        walk.refuse(ROOT, label, "must be the same as the header Idempotency-Key")
    key = arguments[name] = given or header
    if not key:
        walk.refuse(ROOT, label, "must be given, here or as the header Idempotency-Key")
    elif not _is_key(key):
        walk.refuse(ROOT, label, in_words(KEY))


def _location(template: str, message: Descriptor) -> Callable[[Mapping[str, Any]], bytes] | None:
    if not template:
        return None
    names = [message.fields_by_name[name].json_name for name in Template.parse(template).variables]
    pattern = template
    for name, json_name in zip(Template.parse(template).variables, names, strict=True):
        pattern = pattern.replace("{" + name + "}", "{" + json_name + "}")
    return lambda written: pattern.format_map({name: quote(str(written[name]), safe="") for name in names}).encode()


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
