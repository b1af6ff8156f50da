"""Reads scalars from JSON, and from the text of a path or a query.

Types are exact: no number in quotes, no 1.5 for 1, no 0 for false. JSON has one kind of number, so
1.0 and 1e3 are integers (as JSON Schema and proto3 JSON define it). A 64-bit integer beyond 2^53-1 is
refused, because many clients would round it. A string with U+0000 is refused, because PostgreSQL
cannot store it.
"""

import base64
import binascii
import math
import re
from collections.abc import Callable
from typing import TypeAlias

from google.protobuf.descriptor import FieldDescriptor

from souk.descriptors.protojson.names import enum_names
from souk.descriptors.protojson.walk import LONGEST_NAME, JsonLocation, Walk

Read: TypeAlias = Callable[[object, Walk, JsonLocation | None, str | int], object]
"""(value, walk, parent, label) -> what the message's constructor takes."""

SAFE_INTEGER = 2**53 - 1
# Slightly above the largest 32-bit float, because a float that is written short may be rounded up; below this limit
# every number rounds to a 32-bit float.
_LARGEST_FLOAT = 3.40282356e38
INTEGER = r"-?(0|[1-9][0-9]{0,19})"
"""An integer as text. -0 is 0, as for protobuf's own readers of JSON."""
_INTEGER = re.compile(INTEGER, re.ASCII)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)

INTEGER_RANGES = {
    **dict.fromkeys((FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_SINT32), (-(2**31), 2**31 - 1)),
    FieldDescriptor.TYPE_SFIXED32: (-(2**31), 2**31 - 1),
    **dict.fromkeys((FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_FIXED32), (0, 2**32 - 1)),
    **dict.fromkeys((FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_SINT64), (-SAFE_INTEGER, SAFE_INTEGER)),
    FieldDescriptor.TYPE_SFIXED64: (-SAFE_INTEGER, SAFE_INTEGER),
    **dict.fromkeys((FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_FIXED64), (0, SAFE_INTEGER)),
}
FLOATS = (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT)


def read_string(value: object, walk: Walk, parent: JsonLocation | None, label: str | int) -> object:
    """Reads a string."""
    if type(value) is str and "\0" not in value:
        return value
    return walk.refuse(parent, label, "must not contain U+0000" if isinstance(value, str) else "must be a string")


def read_bool(value: object, walk: Walk, parent: JsonLocation | None, label: str | int) -> object:
    """Reads true or false."""
    return value if type(value) is bool else walk.refuse(parent, label, "must be true or false")


def read_bytes(value: object, walk: Walk, parent: JsonLocation | None, label: str | int) -> object:
    """Reads base64, standard or URL-safe, with or without padding (RFC 4648, sections 4 and 5)."""
    try:
        if isinstance(value, str):
            padded = value if "=" in value else value + "=" * (-len(value) % 4)
            url_safe = "-" in value or "_" in value
            if not (url_safe and ("+" in value or "/" in value)):
                return base64.b64decode(padded.encode(), b"-_" if url_safe else None, validate=True)
    except (binascii.Error, ValueError):
        pass
    return walk.refuse(parent, label, "must be base64")


def integer_reader(low: int, high: int) -> Read:
    """Returns a reader of integers from `low` to `high`, in any notation of JSON: 2, 2.0 or 2e0."""

    def read(value: object, walk: Walk, parent: JsonLocation | None, label: str | int) -> object:
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is int:
            if low <= value <= high:
                return value
            return walk.refuse(parent, label, f"must be from {low} to {high}")
        return walk.refuse(parent, label, "must be an integer")

    return read


def float_reader(largest: float) -> Read:
    """Returns a reader of finite numbers whose absolute value is at most `largest`."""

    def read(value: object, walk: Walk, parent: JsonLocation | None, label: str | int) -> object:
        if type(value) is not float and type(value) is not int:
            return walk.refuse(parent, label, "must be a number")
        if not math.isfinite(value) or abs(value) > largest:
            return walk.refuse(parent, label, "is out of range")
        return value

    return read


def enum_reader(field: FieldDescriptor) -> Read:
    """Returns a reader of an enum's names, and of the numbers that have one."""
    names = enum_names(field.enum_type)
    numbers: dict[object, int] = {name: number for number, name in names.items()}
    wrong = f"must be one of {', '.join(names.values())}"

    def read(value: object, walk: Walk, parent: JsonLocation | None, label: str | int) -> object:
        number = numbers.get(value) if isinstance(value, str) else value if type(value) is int else None
        return number if number in names else walk.refuse(parent, label, wrong)

    return read


def scalar_reader(field: FieldDescriptor) -> Read:
    """Returns the reader of one value of a scalar field."""
    if field.type in INTEGER_RANGES:
        return integer_reader(*INTEGER_RANGES[field.type])
    if field.type in FLOATS:
        return float_reader(_LARGEST_FLOAT if field.type == FieldDescriptor.TYPE_FLOAT else math.inf)
    if field.type == FieldDescriptor.TYPE_ENUM:
        return enum_reader(field)
    return {
        FieldDescriptor.TYPE_STRING: read_string,
        FieldDescriptor.TYPE_BOOL: read_bool,
        FieldDescriptor.TYPE_BYTES: read_bytes,
    }[field.type]


def text_reader(field: FieldDescriptor) -> Read:
    """Returns the reader of one value of a scalar field from text: of a path, a query or a map's key."""
    read = scalar_reader(field)
    parse = _text_parser(field)
    if parse is None:
        return read

    def read_text(value: object, walk: Walk, parent: JsonLocation | None, label: str | int) -> object:
        return read(parse(value) if isinstance(value, str) else value, walk, parent, label)

    return read_text


def _text_parser(field: FieldDescriptor) -> Callable[[str], object] | None:
    if field.type in INTEGER_RANGES:
        return _integer
    if field.type in FLOATS:
        return _number
    if field.type == FieldDescriptor.TYPE_BOOL:
        return _bool
    if field.type == FieldDescriptor.TYPE_ENUM:
        return _enum
    return None


def _integer(text: str) -> object:
    return int(text) if _INTEGER.fullmatch(text) else text[:LONGEST_NAME]


def _enum(text: str) -> object:
    return int(text) if _INTEGER.fullmatch(text) else text


def _number(text: str) -> object:
    return float(text) if _NUMBER.fullmatch(text) else text[:LONGEST_NAME]


def _bool(text: str) -> object:
    return {"true": True, "false": False}.get(text, text[:LONGEST_NAME])
