"""Reads JSON into messages, strictly: a request has exactly one meaning, or it is refused with what is wrong in it.

A reader is compiled once for each message, into a small function for each field. It differs from proto3 JSON on
purpose: 64-bit integers are JSON numbers within 2^53-1; unknown fields, snake_case names, duplicate keys,
null, NaN and numbers in quotes are refused; enum values come without their prefix; a field that is
neither `optional` nor repeated nor a message must be given.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from souk.descriptors.protojson.names import camel_meant, lower_camel, map_entry, must_be_given
from souk.descriptors.protojson.scalars import Read, scalar_reader, text_reader
from souk.descriptors.protojson.walk import MAX_DEPTH, JsonLocation, Walk
from souk.descriptors.protojson.well_known import READERS, is_wrapper
from souk.kernel.errors import InvalidArgument, Violation

_TWICE = "occurs more than once"


class JsonReader:
    """Reads request bodies into one message.

    `elsewhere` names the fields that are not in the body because the path contains them. `waived` names required
    fields that the body may leave out, because a header can give them.
    """

    def __init__(self, message: Descriptor, elsewhere: Collection[str] = (), waived: Collection[str] = ()) -> None:
        known: dict[str, _ObjectReader] = {}
        self._root = _ObjectReader(known, frozenset(elsewhere), frozenset(waived))
        self._root.compile(message)

    @property
    def needs_body(self) -> bool:
        """Whether the body has required fields, so that a request without a body is refused."""
        return bool(self._root.required)

    def read(self, body: bytes) -> dict[str, Any]:
        """Returns the arguments for the message's constructor.

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
        return arguments  # type: ignore[no-any-return]  # a reader of messages


class _ObjectReader:
    """Reads one message from one JSON object."""

    __slots__ = ("_elsewhere", "_fields", "_known", "_oneofs", "_waived", "required")

    def __init__(
        self,
        known: "dict[str, _ObjectReader]",
        elsewhere: frozenset[str] = frozenset(),
        waived: frozenset[str] = frozenset(),
    ) -> None:
        self._known, self._elsewhere, self._waived = known, elsewhere, waived
        self._fields: dict[str, tuple[str, Read]] = {}
        self._oneofs: tuple[frozenset[str], ...] = ()
        self.required: frozenset[str] = frozenset()

    def compile(self, message: Descriptor) -> None:
        """Makes the readers of the fields; not in the constructor, because a message may contain itself."""
        fields = [field for field in message.fields if field.name not in self._elsewhere]
        self._fields = {field.json_name: (field.name, field_reader(field, self._known)) for field in fields}
        self.required = frozenset(f.name for f in fields if must_be_given(f) and f.name not in self._waived)
        groups = (frozenset(field.name for field in oneof.fields) for oneof in message.oneofs)
        self._oneofs = tuple(group for group in groups if len(group) > 1)

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


def field_reader(field: FieldDescriptor, known: dict[str, _ObjectReader]) -> Read:
    """Returns the reader of one field: of a single value, a list or a map."""
    if entry := map_entry(field):
        return _map_reader(*entry, known)
    one = _value_reader(field, known)
    return _list_reader(one) if field.is_repeated else one


def _value_reader(field: FieldDescriptor, known: dict[str, _ObjectReader]) -> Read:
    message = field.message_type
    if message is None:
        return scalar_reader(field)
    if message.full_name in READERS:
        return READERS[message.full_name]
    if is_wrapper(message):
        return _wrapper_reader(message)
    if message.full_name not in known:
        known[message.full_name] = nested = _ObjectReader(known)
        nested.compile(message)
    return known[message.full_name]


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


def _wrapper_reader(message: Descriptor) -> Read:
    one, wrapper = scalar_reader(message.fields_by_name["value"]), GetMessageClass(message)

    def read(value: object, walk: Walk, parent: JsonLocation | None, label: str | int) -> object:
        found = one(value, walk, parent, label)
        return wrapper() if found is None else wrapper(value=found)

    return read


def _map_reader(key: FieldDescriptor, value: FieldDescriptor, known: dict[str, _ObjectReader]) -> Read:
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
