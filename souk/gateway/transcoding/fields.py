"""Finds fields by their paths, such as `book.author.name`, and puts values where constructors of messages look."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from souk.descriptors.protojson.well_known import plain_message


def field_at(message: Descriptor, path: str) -> FieldDescriptor:
    """Returns the field at a path of single fields. Raises ValueError when there is no such field."""
    *parents, last = path.split(".")
    here = message
    for name in parents:
        parent: FieldDescriptor | None = here.fields_by_name.get(name)
        inner = plain_message(parent) if parent is not None else None
        if inner is None:
            raise ValueError(f"{message.full_name} has no single message {name} for {path}")
        here = inner
    field: FieldDescriptor | None = here.fields_by_name.get(last)
    if field is None:
        raise ValueError(f"{message.full_name} has no field {path}")
    return field


def json_path(message: Descriptor, path: str) -> str:
    """Returns a path with the names that its fields have in JSON."""
    parts = path.split(".")
    return ".".join(field_at(message, ".".join(parts[: end + 1])).json_name for end in range(len(parts)))


def put(arguments: dict[str, Any], names: Sequence[str], value: object) -> None:
    """Puts a value into a constructor's arguments, in which a message is a dict of its own."""
    for name in names[:-1]:
        arguments = arguments.setdefault(name, {})
    arguments[names[-1]] = value
