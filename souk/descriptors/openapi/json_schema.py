"""JSON Schemas (2020-12, as in OpenAPI 3.1) of messages: exactly what the reader accepts and the writer writes.

Requests and answers differ. A request must contain every single scalar that is not `optional`, and no unknown
field. An answer always contains every field without presence, and may get further fields later.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from souk.descriptors.comments import Comments
from souk.descriptors.limits import KEY, NO_NUL, items_keywords, keywords, policy_of
from souk.descriptors.openapi.paths import inner_paths
from souk.descriptors.protojson.names import enum_names, map_entry, must_be_given
from souk.descriptors.protojson.scalars import INTEGER, INTEGER_RANGES
from souk.descriptors.protojson.well_known import is_wrapper
from souk.kernel.paging import DEFAULT_PAGE_SIZE

Schema = dict[str, Any]

INTEGER_TEXT = f"^{INTEGER}$"

_VERSION = re.compile(r"v[0-9]+\w*")

_MASK_PATH = r"[a-z][A-Za-z0-9]*(\.[a-z][A-Za-z0-9]*)*"

_WELL_KNOWN: Mapping[str, Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]{1,12}(\.[0-9]{1,9})?s$"},
    "google.protobuf.FieldMask": {"type": "string", "pattern": f"^({_MASK_PATH}(,{_MASK_PATH})*)?$"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.ListValue": {"type": "array", "items": {}},
    "google.protobuf.Value": {},
}
_WIDE = (
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_UINT64,
    FieldDescriptor.TYPE_SINT64,
    FieldDescriptor.TYPE_FIXED64,
    FieldDescriptor.TYPE_SFIXED64,
)


class Schemas:
    """Collects the schemas of messages under short, unique names."""

    def __init__(self, comments: Comments) -> None:
        self.components: dict[str, Schema] = {}
        self._comments = comments
        self._names: dict[tuple[str, _Shape], str] = {}

    def answer(self, message: Descriptor) -> Schema:
        """Returns a reference to the schema of an answer."""
        return self._reference(message, _ANSWER)

    def request(
        self, message: Descriptor, elsewhere: Collection[str] = (), key: str = "", *, partial: bool = False
    ) -> Schema:
        """Returns a reference to the schema of a request's body.

        `elsewhere` names fields that are not in the body, with dots those within messages; `key` is the name of the
        idempotency key's field. In a `partial` body nothing must be given.
        """
        return self._reference(message, _Shape(True, partial, frozenset(elsewhere), key))

    def field(self, field: FieldDescriptor, *, request: bool) -> Schema:
        """Returns the schema of a body that is the value of one field."""
        return self._values(field, _REQUEST if request else _ANSWER)

    def members(self, message: Descriptor) -> Schema:
        """Returns the schema of an answer itself, without a name, to be made part of another schema."""
        return self._object(message, _ANSWER)

    def parameter(self, field: FieldDescriptor) -> Schema:
        """Returns the schema of a field in a path or a query."""
        one = _well_known(field.message_type) if field.message_type else self.scalar(field, request=True)
        return {"type": "array", "items": one, **items_keywords(policy_of(field))} if field.is_repeated else one

    def comment(self, full_name: str) -> Schema:
        """Returns the description of a method, message or field; empty if there is no comment."""
        text = self._comments.get(full_name)
        return {"description": text} if text else {}

    def _reference(self, message: Descriptor, shape: "_Shape") -> Schema:
        if message.full_name in _WELL_KNOWN or is_wrapper(message):
            return _well_known(message)
        identity = (message.full_name, shape)
        if identity not in self._names:
            name = self._names[identity] = self._free_name(message, request=shape.request)
            self.components[name] = {}
            self.components[name] = self._object(message, shape)
        return {"$ref": f"#/components/schemas/{self._names[identity]}"}

    def _free_name(self, message: Descriptor, *, request: bool) -> str:
        name = f"{message.name}Input" if request and message.name in self.components else message.name
        candidates = (name, _qualified(message, name), message.full_name.replace(".", "_"))
        last = f"{candidates[-1]}_{len(self._names)}"
        return next(name for name in (*candidates, last) if name not in self.components)

    def _object(self, message: Descriptor, shape: "_Shape") -> Schema:
        fields = [field for field in message.fields if field.name not in shape.elsewhere]
        always: Callable[[FieldDescriptor], bool] = _must_be_given if shape.request else _always_written
        schema: Schema = {
            "type": "object",
            **self.comment(message.full_name),
            "properties": {field.json_name: self._property(field, shape) for field in fields},
        }
        if not shape.partial and (required := [field.json_name for field in fields if always(field)]):
            schema["required"] = required
        if shape.request:
            schema["additionalProperties"] = False
            schema.update(_alternatives(message))
        return schema

    def _property(self, field: FieldDescriptor, shape: "_Shape") -> Schema:
        schema = {**self._values(field, shape.within(field.name)), **self.comment(field.full_name)}
        return {**schema, **keywords(KEY, field)} if field.name == shape.key else schema

    def _values(self, field: FieldDescriptor, shape: "_Shape") -> Schema:
        if entry := map_entry(field):
            names = {"propertyNames": _map_key(entry[0])} if shape.request else {}
            return {"type": "object", **names, "additionalProperties": self._value(entry[1], shape)}
        one = self._value(field, shape)
        if not field.is_repeated:
            return one
        return {"type": "array", "items": one, **(items_keywords(policy_of(field)) if shape.request else {})}

    def _value(self, field: FieldDescriptor, shape: "_Shape") -> Schema:
        message = field.message_type
        return self.scalar(field, request=shape.request) if message is None else self._reference(message, shape)

    def scalar(self, field: FieldDescriptor, *, request: bool = False) -> Schema:
        """Returns the schema of one scalar value."""
        if field.type in INTEGER_RANGES:
            return {"type": "integer", "format": _integer_format(field), **_range(field, request), **_default(field)}
        if field.type == FieldDescriptor.TYPE_ENUM:
            names = enum_names(field.enum_type)
            named: Schema = {"type": "string", "enum": list(names.values())}
            return {"anyOf": [named, {"type": "integer", "enum": list(names)}]} if request else named
        schema = dict(_SCALARS[field.type])
        if request:
            schema.update(keywords(policy_of(field), field))
        return {**schema, "format": "password"} if field.GetOptions().debug_redact else schema


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the schema of a message is for; `Schemas.request` explains the fields."""

    request: bool
    partial: bool = False
    elsewhere: frozenset[str] = frozenset()
    key: str = ""

    def within(self, name: str) -> "_Shape":
        """Returns the shape of the messages in the field `name`."""
        return _Shape(self.request, self.partial, inner_paths(self.elsewhere, name))


_ANSWER = _Shape(False)
_REQUEST = _Shape(True)


def _qualified(message: Descriptor, name: str) -> str:
    """Returns the name with that of its package before it: OrderStockShortage for `shop.order.v1.StockShortage`."""
    words = (word for word in message.file.package.split(".") if not _VERSION.fullmatch(word))
    return "".join((*[word.capitalize() for word in words][-1:], name))


_SCALARS: Mapping[int, Schema] = {
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    FieldDescriptor.TYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptor.TYPE_FLOAT: {"type": "number", "format": "float"},
}


def _map_key(key: FieldDescriptor) -> Schema:
    """Returns the schema of a map's keys: in JSON they are text, so numbers and booleans are written as text."""
    if key.type == FieldDescriptor.TYPE_BOOL:
        return {"enum": ["true", "false"]}
    return {"pattern": INTEGER_TEXT if key.type in INTEGER_RANGES else NO_NUL}


def _range(field: FieldDescriptor, request: bool) -> Schema:
    if request:
        return keywords(policy_of(field), field)
    low, high = INTEGER_RANGES[field.type]
    return {"minimum": low, "maximum": high}


def _default(field: FieldDescriptor) -> Schema:
    # Every list of the platform has the same default size of a page (souk.kernel.paging).
    return {"default": DEFAULT_PAGE_SIZE} if field.name == "page_size" else {}


def _integer_format(field: FieldDescriptor) -> str:
    return "int64" if field.type in _WIDE else "int32"


def _must_be_given(field: FieldDescriptor) -> bool:
    return must_be_given(field) or policy_of(field).min_items > 0


def _always_written(field: FieldDescriptor) -> bool:
    return not field.has_presence


def _well_known(message: Descriptor) -> Schema:
    if is_wrapper(message):
        return Schemas({}).scalar(message.fields_by_name["value"])
    return dict(_WELL_KNOWN[message.full_name])


def _alternatives(message: Descriptor) -> Schema:
    """Allows at most one field of each oneof, as "not both" for each pair, which every validator understands."""
    groups = [[field.json_name for field in oneof.fields] for oneof in message.oneofs]
    pairs = [[a, b] for group in groups for i, a in enumerate(group) for b in group[i + 1 :]]
    return {"not": {"anyOf": [{"required": pair} for pair in pairs]}} if pairs else {}
