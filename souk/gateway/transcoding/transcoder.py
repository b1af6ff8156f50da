"""Transcodes between HTTP and one method: path, query, headers and body to its request, its reply to an answer.

A transcoder is compiled once per HTTP rule. With `body: "*"` the body holds every field that the path does not
hold. Without a body the query holds them. With a field's name the body is that field and the query holds the rest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from souk.descriptors.contract import Method
from souk.descriptors.http_rule import WHOLE, HttpRule
from souk.descriptors.limits import KEY, Fits, in_words, test_of
from souk.descriptors.path_template import PathVariable, Template
from souk.descriptors.protojson.scalars import Read
from souk.descriptors.protojson.walk import ROOT, Walk
from souk.descriptors.protojson.well_known import text_form
from souk.gateway.http.problem import invalid
from souk.gateway.http.request import Request
from souk.gateway.transcoding.answer import AnswerWriter
from souk.gateway.transcoding.body import body_of
from souk.gateway.transcoding.fields import field_at, json_path, put
from souk.gateway.transcoding.masks import MaskInference
from souk.gateway.transcoding.query import QueryReader


class Transcoder:
    """The transcoder of one method under one HTTP rule. Raises ValueError when the rule does not fit the method."""

    def __init__(self, method: Method, rule: HttpRule) -> None:
        self.method, self.rule = method, rule
        message = cast(Descriptor, method.input.DESCRIPTOR)
        self._variables = [_PathField.of(message, variable) for variable in Template.parse(rule.path).bindings]
        bound = [".".join(variable.names) for variable in self._variables]
        self._mask = _mask(message, rule)
        partial = self._mask is not None
        key_field = method.policy.idempotency_field
        streamed = method.client_streaming  # its body becomes messages of their own
        self.body = None if streamed else body_of(message, rule, bound, key_field, partial=partial)
        self._query = QueryReader() if rule.body == WHOLE else QueryReader.of(message, {*bound, rule.body})
        key = message.fields_by_name.get(key_field)
        self._key = (key.name, key.json_name) if key is not None else None
        self.writer = AnswerWriter(method, rule)
        self.answer = self.writer.answer

    def key_of(self, request: Message) -> str:
        """Returns the idempotency key of a request; empty when the method has none."""
        return getattr(request, self._key[0]) if self._key is not None else ""

    async def request(self, request: Request, captures: Sequence[str | None]) -> Message:
        """Reads a request into the method's message.

        Raises Problem 400, which names every field that is wrong, and 413 or 415 for a wrong body.
        """
        arguments = await self.body.arguments(request) if self.body is not None else {}
        mask = self._mask.infer(arguments) if self._mask is not None else None
        walk = Walk()
        for variable in self._variables:
            put(arguments, variable.names, variable.value(captures, walk))
        if request.query or self._query.active:
            self._query.read(request.query, arguments, walk)
        if self._mask is not None:
            arguments.setdefault(self._mask.field, mask)
        if self._key is not None:
            _merge_key(*self._key, request.header(b"idempotency-key"), arguments, walk)
        if walk.violations:
            raise invalid(walk.violations)
        return self.method.input(**arguments)


@dataclass(frozen=True, slots=True)
class _PathField:
    """A field that the path fills."""

    names: tuple[str, ...]
    label: str
    read: Read
    value_of: Callable[[Sequence[str | None]], str | None]

    @classmethod
    def of(cls, message: Descriptor, variable: PathVariable) -> "_PathField":
        field = field_at(message, variable.field)
        read = None if field.is_repeated else text_form(field)
        if read is None:
            raise ValueError(f"{message.full_name}: {variable.field} has no form for the path")
        return cls(tuple(variable.field.split(".")), json_path(message, variable.field), read, variable.value)

    def value(self, captures: Sequence[str | None], walk: Walk) -> object:
        text = self.value_of(captures)
        if text is None:
            return walk.refuse(ROOT, self.label, "is not UTF-8")
        return self.read(text, walk, ROOT, self.label)


def _mask(message: Descriptor, rule: HttpRule) -> MaskInference | None:
    if rule.verb != "PATCH" or rule.body in ("", WHOLE):
        return None
    return MaskInference.of(message, field_at(message, rule.body))


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
