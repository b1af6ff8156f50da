"""A method's request as an HTTP request, by the method's first HTTP rule: what a gateway does, the other way round."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote, urlencode

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from souk.descriptors.contract import Method
from souk.descriptors.http_rule import WHOLE, HttpRule
from souk.descriptors.http_shape import has_raw_body
from souk.descriptors.path_template import Template
from souk.descriptors.protojson.well_known import plain_message, text_form
from souk.descriptors.protojson.writer import dumps, writer_of

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class RestRequest:
    """An HTTP request. `target` is the path with the query; without a body, `body` is None."""

    verb: str
    target: str
    body: bytes | None
    content_type: str = JSON


class RequestWriter:
    """Writes the requests of one method. Raises ValueError when the method has no HTTP rule that can be called."""

    def __init__(self, method: Method) -> None:
        usable = (rule for rule in method.http if rule.verb != "HEAD")
        rule = next(usable, None)
        if rule is None or not method.unary:
            raise ValueError(f"{method.full_name} has no HTTP rule by which it can be called once")
        self.rule: HttpRule = rule
        self._verb = "POST" if rule.verb == "*" else rule.verb
        self._template = Template.parse(rule.path)
        message = cast(Descriptor, method.input.DESCRIPTOR)
        self._message, self._write = message, writer_of(message)
        self._raw = has_raw_body(method, rule)
        self._labels = [_labels(message, path) for path in self._template.variables]
        self._body = "" if rule.body in ("", WHOLE) else message.fields_by_name[rule.body].json_name

    def write(self, message: Message) -> RestRequest:
        """Returns the HTTP request. Raises ValueError for a value that has no place in the path or the query."""
        if self._raw:
            file = cast(HttpBody, message if self.rule.body == WHOLE else getattr(message, self.rule.body))
            fields = {} if self.rule.body == WHOLE else self._write(message)
            fields.pop(self._body, None)
            return RestRequest(self._verb, self._target(fields), file.data, file.content_type)
        fields = self._write(message)
        if self.rule.body == WHOLE:
            path = self._path(fields)
            return RestRequest(self._verb, path, dumps(fields))
        if not self.rule.body:
            return RestRequest(self._verb, self._target(fields), None)
        body = fields.pop(self._body, None)
        inner = {self._body: body} if isinstance(body, dict) else {}
        target = self._target({**fields, **inner}, without=self._body)
        return RestRequest(self._verb, target, None if body is None else dumps(body))

    def _target(self, fields: dict[str, Any], without: str = "") -> str:
        path = self._path(fields)
        pairs = list(_pairs({name: value for name, value in fields.items() if name != without}, self._message, ""))
        return f"{path}?{urlencode(pairs, quote_via=quote)}" if pairs else path

    def _path(self, fields: dict[str, Any]) -> str:
        """Returns the path; takes the fields that it has out of `fields`."""
        return self._template.expand([_text(_taken(fields, labels)) for labels in self._labels])


def _labels(message: Descriptor, path: str) -> tuple[str, ...]:
    labels, here = [], message
    for name in path.split("."):
        field = here.fields_by_name[name]
        labels.append(field.json_name)
        here = field.message_type or here
    return tuple(labels)


def _taken(fields: dict[str, Any], labels: tuple[str, ...]) -> Any:
    for label in labels[:-1]:
        fields = fields.get(label, {})
    return fields.pop(labels[-1], "")


def _pairs(fields: Mapping[str, Any], message: Descriptor, prefix: str) -> Iterator[tuple[str, str]]:
    known = {field.json_name: field for field in message.fields}
    for name, value in fields.items():
        inner = plain_message(known[name])
        if inner is not None:
            yield from _pairs(value, inner, f"{prefix}{name}.")
        elif text_form(known[name]) is None:
            if value:
                raise ValueError(f"{prefix}{name} cannot be in a query")
        else:
            for one in value if isinstance(value, list) else [value]:
                yield prefix + name, _text(one)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else dumps(value).decode()
