"""Names in JSON: lowerCamelCase fields, enum values without their prefix."""

import re
from collections.abc import Container, Mapping
from functools import cache

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

_WORD_START = re.compile(r"_+([a-zA-Z0-9])")
_INNER_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def lower_camel(path: str) -> str:
    """Returns the JSON name of a field or of a path of fields, such as `items[0].product_id`."""
    if "_" not in path:
        return path
    return _WORD_START.sub(lambda match: match[1].upper(), path)


def camel_meant(name: str, known: Container[str]) -> str:
    """Returns a hint for an unknown name whose JSON name is known: `; did you mean pageSize?`; else an empty text."""
    camel = lower_camel(name)
    return f"; did you mean {camel}?" if camel != name and camel in known else ""


@cache
def enum_names(enum: EnumDescriptor) -> Mapping[int, str]:
    """Returns an enum's JSON names by number: `ORDER_STATUS_CONFIRMED` of `OrderStatus` is CONFIRMED.

    If several values have one number, the first gives the name.
    """
    prefix = _INNER_CAPITAL.sub("_", enum.name).upper() + "_"
    stripped = all(value.name.startswith(prefix) and len(value.name) > len(prefix) for value in enum.values)
    names: dict[int, str] = {}
    for value in enum.values:
        names.setdefault(value.number, value.name[len(prefix) :] if stripped else value.name)
    return names


def map_entry(field: FieldDescriptor) -> tuple[FieldDescriptor, FieldDescriptor] | None:
    """Returns the fields for key and value of a `map<,>`; None for any other field."""
    message = field.message_type
    if message is None or not message.GetOptions().map_entry:
        return None
    return message.fields_by_name["key"], message.fields_by_name["value"]


def must_be_given(field: FieldDescriptor) -> bool:
    """Whether a request must contain the field: a single scalar that the contract does not declare `optional`.

    Without this rule a forgotten price would be a price of zero.
    """
    return not field.is_repeated and not field.has_presence
