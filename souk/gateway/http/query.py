"""Reads query strings into fields: with strict keys, strict types, and one value for each single field."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from souk.descriptors.protojson.names import camel_meant, must_be_given
from souk.descriptors.protojson.scalars import Read, text_reader
from souk.descriptors.protojson.walk import ROOT, Walk
from souk.descriptors.protojson.well_known import READERS
from souk.gateway.http.routes import decoded

_TEXTUAL = ("google.protobuf.Timestamp", "google.protobuf.Duration")


@dataclass(frozen=True, slots=True)
class QueryField:
    """One field that a query can give."""

    field: FieldDescriptor
    read: Read


def query_fields(message: Descriptor, bound: Container[str]) -> Mapping[str, QueryField]:
    """Returns the readable fields by JSON name; of messages, only times and durations can be in a query."""
    fields = [field for field in message.fields if field.name not in bound]
    readable = ((field, _reader(field)) for field in fields)
    return {field.json_name: QueryField(field, read) for field, read in readable if read is not None}


def _reader(field: FieldDescriptor) -> Read | None:
    if field.message_type is None:
        return text_reader(field)
    return READERS[field.message_type.full_name] if field.message_type.full_name in _TEXTUAL else None


def read_query(query: bytes, fields: Mapping[str, QueryField], arguments: dict[str, Any], walk: Walk) -> None:
    """Fills `arguments` by field name, and adds errors to `walk`."""
    for pair in query.decode("latin-1").split("&"):
        if pair:
            _read_pair(pair, fields, arguments, walk)
    for label, known in fields.items():
        if known.field.name not in arguments and must_be_given(known.field):
            walk.refuse(ROOT, label, "must be given")


def _read_pair(pair: str, fields: Mapping[str, QueryField], arguments: dict[str, Any], walk: Walk) -> None:
    key, _, raw = pair.partition("=")
    label, text = decoded(key.replace("+", " ")), decoded(raw.replace("+", " "))
    if label is None or text is None:
        walk.refuse(ROOT, label or "query", "is not UTF-8")
        return
    known = fields.get(label)
    if known is None:
        walk.refuse(ROOT, label, f"is not a query parameter{camel_meant(label, fields)}")
    elif known.field.is_repeated:
        arguments.setdefault(known.field.name, []).append(known.read(text, walk, ROOT, label))
    elif known.field.name in arguments:
        walk.refuse(ROOT, label, "occurs more than once")
    else:
        arguments[known.field.name] = known.read(text, walk, ROOT, label)
