"""Reads JSON into messages, strictly: a request has exactly one meaning, or it is refused with what is wrong in it.

A reader is compiled once for each message, into a small function for each field. It differs from proto3 JSON on
purpose: 64-bit integers are JSON numbers within 2^53-1; unknown fields, snake_case names, duplicate keys,
null, NaN and numbers in quotes are refused; enum values come without their prefix; a field that is
neither `optional` nor repeated nor a message must be given.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from souk.descriptors.protojson.names import camel_meant, lower_camel, map_entry, must_be_given
from souk.descriptors.protojson.scalars import Read, scalar_reader, text_reader
from souk.descriptors.protojson.walk import MAX_DEPTH, JsonLocation, Walk
from souk.descriptors.protojson.well_known import READERS, has_own_form, is_wrapper, wrapper_reader
from souk.kernel.errors import InvalidArgument, Violation

_TWICE = "occurs more than once"


class JsonReader:
    """Reads request bodies into one message, or into one field of any kind (`of_field`).

    `elsewhere` names the fields that are not in the body because the path contains them; with dots, fields of messages
    in it. `waived` names required fields that the body may leave out, because a header can give them. With `partial`
    nothing must be given: the body is a change, and not the whole.
    """

    def __init__(
        self,
        message: Descriptor,
        elsewhere: Collection[str] = (),
        waived: Collection[str] = (),
        *,
        partial: bool = False,
    ) -> None:
        root = _ObjectReader(_Known(partial=partial), frozenset(elsewhere), frozenset(waived))
        root.compile(message)
        self._root: Read = root
        self.needs_body = bool(root.required)
        """Whether the body has required fields, so that a request without a body is refused."""

    @classmethod
    def of_field(
        cls, field: FieldDescriptor, elsewhere: Collection[str] = (), *, partial: bool = False
    ) -> "JsonReader":
        """Returns the reader of bodies that are the value of one field."""
        message = field.message_type
        if message is not None and not field.is_repeated and not has_own_form(message):
            return cls(message, elsewhere, partial=partial)
        reader = cls.__new__(cls)
        reader._root = field_reader(field, _Known(partial=partial))
        reader.needs_body = must_be_given(field)
        return reader

    def read(self, body: bytes) -> Any:
        """Returns the arguments for the message's constructor, or the value of the field.

        Raises InvalidArgument with every violation, its fields named as in JSON.
        """
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise InvalidArgument([Violation("body", f"is not valid JSON: {error}"[:200])]) from None
        walk = Walk()
        arguments = self._root(value, walk, None, "")
        if not walk.violations:
            refuse_duplicates(body, walk)
        if walk.violations:
            raise InvalidArgument(walk.violations)
        return arguments


@dataclass(frozen=True, slots=True)
class _Known:
    """The readers of messages that were compiled so far, by the name of the message."""

    partial: bool = False
    readers: "dict[str, _ObjectReader]" = field(default_factory=dict)


class _ObjectReader:
    """Reads one message from one JSON object."""

    __slots__ = ("_elsewhere", "_fields", "_implied", "_known", "_oneofs", "_waived", "required")

    def __init__(
        self,
        known: _Known,
        elsewhere: frozenset[str] = frozenset(),
        waived: frozenset[str] = frozenset(),
    ) -> None:
        self._known, self._elsewhere, self._waived = known, elsewhere, waived
        self._fields: dict[str, tuple[str, Read]] = {}
        self._oneofs: tuple[frozenset[str], ...] = ()
        self._implied: tuple[str, ...] = ()
        self.required: frozenset[str] = frozenset()

    def compile(self, message: Descriptor) -> None:
        """Makes the readers of the fields; not in the constructor, because a message may contain itself."""
        fields = [field for field in message.fields if field.name not in self._elsewhere]
        self._fields = {field.json_name: (field.name, self._reader(field)) for field in fields}
        self._implied = tuple(field.json_name for field in fields if self._inner(field))
        if not self._known.partial:
            self.required = frozenset(f.name for f in fields if must_be_given(f) and f.name not in self._waived)
        groups = (frozenset(field.name for field in oneof.fields) for oneof in message.oneofs)
        self._oneofs = tuple(group for group in groups if len(group) > 1)

    def _inner(self, field: FieldDescriptor) -> frozenset[str]:
        """Returns the names of the fields within this one that are not in the body."""
        prefix = f"{field.name}."
        return frozenset(name.removeprefix(prefix) for name in self._elsewhere if name.startswith(prefix))

    def _reader(self, field: FieldDescriptor) -> Read:
        inner, message = self._inner(field), field.message_type
        if not inner or message is None:
            return field_reader(field, self._known)
        reader = _ObjectReader(self._known, inner)
        reader.compile(message)
        return reader

    def __call__(self, value: object, walk: Walk, parent: JsonLocation | None, label: str | int) -> Any:
        if type(value) is not dict:
            return walk.refuse(parent, label, "must be an object")
        here: JsonLocation = (parent, label, parent[2] + 1 if parent else 1)
        if here[2] > MAX_DEPTH:
            return walk.refuse(parent, label, "is nested too deeply")
        walk.keys += len(value)
        fields, arguments = self._fields, {}
        for key, item in value.items():
            field = fields.get(key)
            if field is None:
                self._refuse_unknown(key, walk, here)
                if walk.full:
                    return None
            else:
                arguments[field[0]] = field[1](item, walk, here, key)
        for key in self._implied:  # the path fills a field of it, so the message is there
            name, read = fields[key]
            if name not in arguments:
                arguments[name] = read({}, walk, here, key)
        if not arguments.keys() >= self.required or self._oneofs:
            self._check_presence(arguments, walk, here)
        return arguments

    def _refuse_unknown(self, key: str, walk: Walk, here: JsonLocation) -> None:
        if any(key == lower_camel(name) for name in self._elsewhere):
            walk.refuse(here, key, "is given by the path, not by the body")
        else:
            walk.refuse(here, key, f"is not a field{camel_meant(key, self._fields)}")

    def _check_presence(self, arguments: Mapping[str, object], walk: Walk, here: JsonLocation) -> None:
        for key, (name, _) in self._fields.items():
            if name in self.required and name not in arguments:
                walk.refuse(here, key, "must be given")
        for group in self._oneofs:
            for key, (name, _) in self._fields.items():
                if name in group and name in arguments and len(group & arguments.keys()) > 1:
                    walk.refuse(here, key, "must not be given together with its alternatives")


def field_reader(field: FieldDescriptor, known: _Known) -> Read:
    """Returns the reader of one field: of a single value, a list or a map."""
    if entry := map_entry(field):
        return _map_reader(*entry, known)
    one = _value_reader(field, known)
    return _list_reader(one) if field.is_repeated else one


def _value_reader(field: FieldDescriptor, known: _Known) -> Read:
    message = field.message_type
    if message is None:
        return scalar_reader(field)
    if message.full_name in READERS:
        return READERS[message.full_name]
    if is_wrapper(message):
        return wrapper_reader(message, scalar_reader)
    if message.full_name not in known.readers:
        known.readers[message.full_name] = nested = _ObjectReader(known)
        nested.compile(message)
    return known.readers[message.full_name]


def _list_reader(one: Read) -> Read:
    def read(value: object, walk: Walk, parent: JsonLocation | None, label: str | int) -> object:
        if type(value) is not list:
            return walk.refuse(parent, label, "must be an array")
        here: JsonLocation = (parent, label, parent[2] if parent else 0)
        items: list[object] = []
        for index, item in enumerate(value):
            items.append(one(item, walk, here, index))
            if walk.full:
                break
        return items

    return read


def _map_reader(key: FieldDescriptor, value: FieldDescriptor, known: _Known) -> Read:
    read_key, read_value = text_reader(key), _value_reader(value, known)
    # A message's constructor takes dicts for a list of messages, but not for a map of messages.
    nested = value.message_type
    wrap = GetMessageClass(nested) if nested and isinstance(read_value, _ObjectReader) else None

    def read(given: object, walk: Walk, parent: JsonLocation | None, label: str | int) -> object:
        if type(given) is not dict:
            return walk.refuse(parent, label, "must be an object")
        walk.keys += len(given)
        here: JsonLocation = (parent, label, parent[2] if parent else 0)
        found = {read_key(name, walk, here, name): read_value(item, walk, here, name) for name, item in given.items()}
        if len(found) < len(given) and not walk.violations:
            _refuse_respelled(given, read_key, walk, here)
        if wrap is None or walk.violations:
            return found
        return {key: wrap(**item) for key, item in found.items()}  # type: ignore[arg-type]  # only messages are wrapped

    return read


def _refuse_respelled(names: Collection[str], read_key: Read, walk: Walk, here: JsonLocation) -> None:
    """Records a violation for every key that means the same as an earlier one, as 0 and -0 do."""
    earlier: set[object] = set()
    for name in names:
        key = read_key(name, walk, here, name)
        if key in earlier:
            walk.refuse(here, name, _TWICE)
        earlier.add(key)


def refuse_duplicates(body: bytes, walk: Walk) -> None:
    """Records a violation for every duplicate key, of which orjson silently keeps the last.

    Call it after a walk over the body that found no violations.

    RFC 8259 leaves the meaning of duplicates open, so that two readers of one body can disagree: one
    checks the first price, the other charges the second.

    Every key has one colon. So if the body has as many colons as the walk counted keys, there is no duplicate. Only a
    body with more colons, by duplicates or within strings, is parsed a second time by a slower parser.
    """
    if body.count(b":") != walk.keys:
        _search(json.loads(body.decode(), object_pairs_hook=_Pairs), walk, None, "")


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as a list of its pairs, in the order of the text."""


def _search(value: object, walk: Walk, parent: JsonLocation | None, label: str | int) -> None:
    here: JsonLocation = (parent, label, 0)
    if isinstance(value, _Pairs):
        earlier: set[str] = set()
        for name, item in value:
            if name in earlier:
                walk.refuse(here, name, _TWICE)
            earlier.add(name)
            _search(item, walk, here, name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _search(item, walk, here, index)
