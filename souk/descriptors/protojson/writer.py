"""Writes messages as JSON: the counterpart of `souk.descriptors.protojson.reader`.

Zero values are written; a field with explicit presence is left out while it is not set; 64-bit
integers are numbers.
"""

import base64
import math
from collections.abc import Callable, Mapping
from functools import cache
from operator import attrgetter
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from souk.descriptors.protojson.names import enum_names, map_entry
from souk.descriptors.protojson.well_known import WRITERS, is_wrapper

Convert = Callable[[Any], Any]


def dumps(value: object) -> bytes:
    """Returns JSON text. Raises TypeError for an integer beyond 2^53-1, which many clients would round."""
    return orjson.dumps(value, option=orjson.OPT_STRICT_INTEGER)


@cache
def writer_of(message: Descriptor) -> Convert:
    """Returns the function that converts messages of this type for `dumps`: to a dict, except for well-known types."""
    if message.full_name in WRITERS:
        return WRITERS[message.full_name]
    if is_wrapper(message):
        return _wrapper_writer(message)
    return _ObjectWriter(message)


def _wrapper_writer(message: Descriptor) -> Convert:
    convert = _scalar_writer(message.fields_by_name["value"])
    return lambda wrapper: convert(wrapper.value) if convert else wrapper.value


class _ObjectWriter:
    """Converts one message to a dict, its fields in the order of the contract."""

    __slots__ = ("_converted", "_descriptor", "_get", "_names", "_optional")

    def __init__(self, message: Descriptor) -> None:
        self._descriptor = message
        self._names: tuple[str, ...] | None = None

    def _compile(self) -> None:
        # At the first use and not in the constructor, because a message may contain itself.
        fields = self._descriptor.fields
        self._get = _getter([field.name for field in fields])
        self._converted = tuple(
            (field.json_name, convert)
            for field in fields
            if not field.has_presence and (convert := field_writer(field)) is not None
        )
        self._optional = tuple((f.json_name, f.name, field_writer(f)) for f in fields if f.has_presence)
        self._names = tuple(field.json_name for field in fields)

    def __call__(self, message: Message) -> dict[str, Any]:
        if self._names is None:
            self._compile()
        written = dict(zip(self._names, self._get(message), strict=True))  # type: ignore[arg-type]  # one compiled name a value
        for name, convert in self._converted:
            written[name] = convert(written[name])
        for name, attribute, optional in self._optional:
            if not message.HasField(attribute):
                del written[name]
            elif optional is not None:
                written[name] = optional(written[name])
        return written


def _getter(names: list[str]) -> Callable[[Message], tuple[Any, ...]]:
    """Returns a function that reads all these fields, by one call into C."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda message: tuple(getattr(message, name) for name in names)


def field_writer(field: FieldDescriptor) -> Convert | None:
    """Returns the conversion of a field's value; None if it needs none."""
    if entry := map_entry(field):
        return _map_writer(*entry)
    one = _value_writer(field)
    if not field.is_repeated:
        return one
    if one is None:
        return list
    return lambda values: [one(value) for value in values]


def _value_writer(field: FieldDescriptor) -> Convert | None:
    return _scalar_writer(field) if field.message_type is None else writer_of(field.message_type)


def _map_writer(key: FieldDescriptor, value: FieldDescriptor) -> Convert:
    text: Convert = _bool_text if key.type == FieldDescriptor.TYPE_BOOL else str
    convert = _value_writer(value) or (lambda item: item)
    return lambda items: {text(name): convert(item) for name, item in items.items()}


def _bool_text(value: bool) -> str:
    return "true" if value else "false"


def _scalar_writer(field: FieldDescriptor) -> Convert | None:
    if field.type == FieldDescriptor.TYPE_ENUM:
        return _enum_writer(enum_names(field.enum_type))
    writers: dict[int, Convert] = {
        FieldDescriptor.TYPE_BYTES: lambda value: base64.b64encode(value).decode(),
        FieldDescriptor.TYPE_DOUBLE: _finite,
        FieldDescriptor.TYPE_FLOAT: _shortest,
    }
    return writers.get(field.type)


def _enum_writer(names: Mapping[int, str]) -> Convert:
    # A number that this program's version of the contract does not know is written as the number.
    return lambda number: names.get(number, number)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("JSON has no NaN and no infinity")
    return value


def _shortest(value: float) -> float:
    """Returns the shortest decimal that is the same 32-bit float: 0.1, not 0.10000000149011612."""
    for digits in range(6, 9):
        short = float(f"{_finite(value):.{digits}g}")
        if abs(short - value) <= abs(value) * 2**-25:
            return short
    return value
