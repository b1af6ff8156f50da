"""Reads and writes the well-known types of protobuf that have a JSON form of their own."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from souk.descriptors.protojson.names import lower_camel
from souk.descriptors.protojson.scalars import SAFE_INTEGER, Read, text_reader
from souk.descriptors.protojson.walk import MAX_DEPTH, JsonLocation, Walk

_TIMESTAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_DURATION = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]{1,9}))?s")
_MASK = re.compile(r"[a-z][A-Za-z0-9]*(\.[a-z][A-Za-z0-9]*)*")
_CAPITAL = re.compile(r"[A-Z]")
_LONGEST_DURATION = 315_576_000_000
_FIRST_SECOND = int(datetime(1, 1, 1, tzinfo=UTC).timestamp())
_LAST_SECOND = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())


def write_timestamp(value: Timestamp) -> str:
    """Writes a time by RFC 3339 in UTC, with 0, 3, 6 or 9 digits of the second."""
    return _time(value.seconds, value.nanos)


@lru_cache(maxsize=1024)  # messages have the same time in several fields, and are read again
def _time(seconds: int, nanos: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19] + _fraction(nanos) + "Z"


def write_duration(value: Duration) -> str:
    """Writes a duration as seconds with an s: `3.500s`."""
    sign = "-" if value.seconds < 0 or value.nanos < 0 else ""
    return f"{sign}{abs(value.seconds)}{_fraction(abs(value.nanos))}s"


def _fraction(nanos: int) -> str:
    if not nanos:
        return ""
    digits = f"{nanos:09d}"
    return "." + (digits[:3] if nanos % 1_000_000 == 0 else digits[:6] if nanos % 1_000 == 0 else digits)


def write_struct(struct: Struct) -> dict[str, Any]:
    """Writes a Struct as a JSON object."""
    return {name: write_value(value) for name, value in struct.fields.items()}


def write_list(values: ListValue) -> list[Any]:
    """Writes a ListValue as a JSON array."""
    return [write_value(value) for value in values.values]


def write_value(value: Value) -> Any:
    """Writes a Value as the JSON value that it holds; a whole number is written without a fraction."""
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return write_struct(value.struct_value)
    if kind == "list_value":
        return write_list(value.list_value)
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() and abs(number) <= SAFE_INTEGER else number
    return None if kind in (None, "null_value") else getattr(value, kind)


def write_mask(mask: FieldMask) -> str:
    """Writes a FieldMask as its paths in lowerCamelCase, with commas between them."""
    return ",".join(map(lower_camel, mask.paths))


WRITERS: Mapping[str, Callable[[Any], Any]] = {
    "google.protobuf.FieldMask": write_mask,
    "google.protobuf.Timestamp": write_timestamp,
    "google.protobuf.Duration": write_duration,
    "google.protobuf.Struct": write_struct,
    "google.protobuf.ListValue": write_list,
    "google.protobuf.Value": write_value,
}


def read_timestamp(value: object, walk: Walk, parent: JsonLocation | None, label: str | int) -> object:
    """Reads a time by RFC 3339, with any offset, of the years 1 to 9999 in UTC."""
    match = _TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    seconds = _seconds(match[1] + match[3]) if match is not None else None
    if match is None or seconds is None:
        return walk.refuse(parent, label, "must be a time such as 2030-01-31T12:00:00Z")
    if not _FIRST_SECOND <= seconds <= _LAST_SECOND:
        return walk.refuse(parent, label, "must be from year 1 to 9999 in UTC")
    return Timestamp(seconds=seconds, nanos=_nanos(match[2]))


def _seconds(text: str) -> int | None:
    try:
        return int(datetime.fromisoformat(text).timestamp())
    except ValueError:
        return None


def _nanos(digits: str | None) -> int:
    return int((digits or "0").ljust(9, "0"))


def read_duration(value: object, walk: Walk, parent: JsonLocation | None, label: str | int) -> object:
    """Reads a duration in seconds with an s, such as `3.5s`, within the limits of duration.proto."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return walk.refuse(parent, label, "must be a duration in seconds such as 3.5s")
    seconds, nanos = int(match[2]), _nanos(match[3])
    if (seconds, nanos) > (_LONGEST_DURATION, 0):
        return walk.refuse(parent, label, f"must be from -{_LONGEST_DURATION}s to {_LONGEST_DURATION}s")
    sign = -1 if match[1] else 1
    return Duration(seconds=sign * seconds, nanos=sign * nanos)


def read_struct(value: object, walk: Walk, parent: JsonLocation | None, label: str | int) -> object:
    """Reads any JSON object into a Struct."""
    if type(value) is not dict:
        return walk.refuse(parent, label, "must be an object")
    found = _checked(value, walk, parent, label)
    return found.struct_value if found is not None else None


def read_list(value: object, walk: Walk, parent: JsonLocation | None, label: str | int) -> object:
    """Reads any JSON array into a ListValue."""
    if type(value) is not list:
        return walk.refuse(parent, label, "must be an array")
    found = _checked(value, walk, parent, label)
    return found.list_value if found is not None else None


def _checked(value: object, walk: Walk, parent: JsonLocation | None, label: str | int) -> Any:
    if not isinstance(value, dict | list):
        return _leaf(value, walk, parent, label)
    here: JsonLocation = (parent, label, parent[2] + 1 if parent else 1)
    if here[2] > MAX_DEPTH:
        return walk.refuse(parent, label, "is nested too deeply")
    if isinstance(value, list):
        items = [_checked(item, walk, here, index) for index, item in enumerate(value)]
        return Value(list_value=ListValue(values=[item for item in items if item is not None]))
    walk.keys += len(value)
    if any("\0" in name for name in value):
        return walk.refuse(parent, label, "must not contain U+0000")
    members = {name: _checked(item, walk, here, name) for name, item in value.items()}
    return Value(struct_value=Struct(fields={name: item for name, item in members.items() if item is not None}))


def _leaf(value: object, walk: Walk, parent: JsonLocation | None, label: str | int) -> Any:
    match value:
        case None:
            return Value(null_value=0)  # type: ignore[arg-type]  # the stub wants an enum
        case bool():
            return Value(bool_value=value)
        case int() | float() if abs(value) <= SAFE_INTEGER or (isinstance(value, float) and value - value == 0):
            return Value(number_value=value)
        case str() if "\0" not in value:
            return Value(string_value=value)
        case str():
            return walk.refuse(parent, label, "must not contain U+0000")
        case _:
            return walk.refuse(parent, label, "is out of range")


def read_mask(value: object, walk: Walk, parent: JsonLocation | None, label: str | int) -> object:
    """Reads a FieldMask: paths in lowerCamelCase, with commas between them; an empty text has none."""
    paths = value.split(",") if isinstance(value, str) and value else []
    if not isinstance(value, str) or not all(map(_MASK.fullmatch, paths)):
        return walk.refuse(parent, label, "must be paths of fields with commas between them, such as a,b.cD")
    return FieldMask(paths=[_CAPITAL.sub(lambda match: f"_{match[0].lower()}", path) for path in paths])


READERS: Mapping[str, Read] = {
    "google.protobuf.FieldMask": read_mask,
    "google.protobuf.Timestamp": read_timestamp,
    "google.protobuf.Duration": read_duration,
    "google.protobuf.Struct": read_struct,
    "google.protobuf.ListValue": read_list,
    "google.protobuf.Value": _checked,
}

_WRAPPERS = frozenset(
    f"google.protobuf.{name}Value"
    for name in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)


def is_wrapper(message: Descriptor) -> bool:
    """Whether a message is one of the nullable scalars of google/protobuf/wrappers.proto."""
    return message.full_name in _WRAPPERS


def has_own_form(message: Descriptor) -> bool:
    """Whether a message is written otherwise than as an object of its fields."""
    return message.full_name in READERS or is_wrapper(message)


def wrapper_reader(message: Descriptor, reader_of: Callable[[FieldDescriptor], Read]) -> Read:
    """Returns the reader of a wrapper, whose value is read as `reader_of` says."""
    one, wrapper = reader_of(message.fields_by_name["value"]), GetMessageClass(message)

    def read(value: object, walk: Walk, parent: JsonLocation | None, label: str | int) -> object:
        found = one(value, walk, parent, label)
        return wrapper() if found is None else wrapper(value=found)

    return read


HTTP_BODY = "google.api.HttpBody"
"""The message that stands for a body of any content type."""


def plain_message(field: FieldDescriptor) -> Descriptor | None:
    """Returns the message of a field that holds one, written as an object of its fields; None for another field."""
    message = field.message_type
    if message is None or field.is_repeated or has_own_form(message) or message.full_name == HTTP_BODY:
        return None
    return message


def mask_of(message: Descriptor) -> str | None:
    """Returns the name of a message's only FieldMask; None if it has none, or several."""
    of_masks = (f.name for f in message.fields if f.message_type and f.message_type.full_name == _FIELD_MASK)
    names = [name for name in of_masks if not message.fields_by_name[name].is_repeated]
    return names[0] if len(names) == 1 else None


_FIELD_MASK = "google.protobuf.FieldMask"
_TEXTUAL = frozenset(f"google.protobuf.{name}" for name in ("Timestamp", "Duration", "FieldMask"))


def text_form(field: FieldDescriptor) -> Read | None:
    """Returns the reader of one value of a field from the text of a path or a query; None if it has no such form."""
    message = field.message_type
    if message is None:
        return text_reader(field)
    if is_wrapper(message):
        return wrapper_reader(message, text_reader)
    return READERS[message.full_name] if message.full_name in _TEXTUAL else None
