"""Reads query strings into fields: with strict keys, strict types, and one value for each single field.

A key is the path of a field by its JSON names: `pageSize`, or `book.author.name` within messages. What has no form as
text cannot be in a query: maps, lists of messages, Struct, Value, ListValue and HttpBody.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from souk.descriptors.path_template import decoded
from souk.descriptors.protojson.names import lower_camel, must_be_given
from souk.descriptors.protojson.scalars import Read
from souk.descriptors.protojson.walk import MAX_DEPTH, ROOT, JsonLocation, Walk
from souk.descriptors.protojson.well_known import plain_message, text_form


class QueryReader:
    """Reads the fields of one message from a query; `bound` are the paths of those that come from elsewhere."""

    __slots__ = ("_fields", "_known", "_messages", "_oneofs", "_required", "active")

    def __init__(self, known: "dict[str, QueryReader] | None" = None) -> None:
        self._known = {} if known is None else known
        self._fields: dict[str, tuple[FieldDescriptor, Read]] = {}
        self._messages: dict[str, tuple[str, QueryReader]] = {}
        self._required: tuple[FieldDescriptor, ...] = ()
        self._oneofs: tuple[tuple[FieldDescriptor, ...], ...] = ()
        self.active = False
        """Whether there is something to check in a request without a query, too."""

    @classmethod
    def of(cls, message: Descriptor, bound: Collection[str]) -> "QueryReader":
        """Returns the reader for a method's request."""
        reader = cls()
        reader.compile(message, frozenset(bound))
        return reader

    def compile(self, message: Descriptor, bound: frozenset[str]) -> None:
        """Makes the readers of the fields; not in the constructor, because a message may contain itself."""
        fields = [field for field in message.fields if field.name not in bound]
        for field in fields:
            if (inner := plain_message(field)) is not None:
                self._messages[field.json_name] = (field.name, self._nested(field.name, inner, bound))
            elif (read := text_form(field)) is not None:
                self._fields[field.json_name] = (field, read)
        self._required = tuple(field for field in fields if must_be_given(field))
        groups = (tuple(field for field in oneof.fields) for oneof in message.oneofs)
        self._oneofs = tuple(group for group in groups if len(group) > 1)
        self.active = bool(self._required) or any("." in path for path in bound)

    def _nested(self, field: str, message: Descriptor, bound: frozenset[str]) -> "QueryReader":
        prefix, name = f"{field}.", message.full_name
        inner = frozenset(path.removeprefix(prefix) for path in bound if path.startswith(prefix))
        if not inner and name in self._known:
            return self._known[name]
        reader = QueryReader(self._known)
        if not inner:
            self._known[name] = reader
        reader.compile(message, inner)
        return reader

    def read(self, query: bytes, arguments: dict[str, Any], walk: Walk) -> None:
        """Fills `arguments` by field name, and adds errors to `walk`; `arguments` has what came from elsewhere."""
        for pair in query.decode("latin-1").split("&"):
            if pair and not walk.full:
                self._read_pair(pair, arguments, walk)
        self._check_presence(arguments, walk, ROOT)

    def _read_pair(self, pair: str, arguments: dict[str, Any], walk: Walk) -> None:
        key, _, raw = pair.partition("=")
        label, text = decoded(key.replace("+", " ")), decoded(raw.replace("+", " "))
        if label is None or text is None:
            walk.refuse(ROOT, label or "query", "is not UTF-8")
            return
        names, found = ((), self._fields[label]) if label in self._fields else self._within(label)
        if found is None:
            walk.refuse(ROOT, label, f"is not a query parameter{self._hint(label)}")
            return
        for name in names:
            arguments = arguments.setdefault(name, {})
        field, read = found
        if field.is_repeated:
            arguments.setdefault(field.name, []).append(read(text, walk, ROOT, label))
        elif field.name in arguments:
            walk.refuse(ROOT, label, "occurs more than once")
        else:
            arguments[field.name] = read(text, walk, ROOT, label)

    def _within(self, label: str) -> tuple[Sequence[str], tuple[FieldDescriptor, Read] | None]:
        """Finds a field within messages; returns the names of the messages, and the field."""
        *parents, last = label.split(".", MAX_DEPTH)
        reader, names = self, []
        for parent in parents:
            name, reader = reader._messages.get(parent, ("", _NOTHING))
            names.append(name)
        return names, reader._fields.get(last)

    def _hint(self, label: str) -> str:
        camel = lower_camel(label)
        known = camel != label and self._within(camel)[1] is not None
        return f"; did you mean {camel}?" if known else ""

    def _check_presence(self, arguments: Mapping[str, Any], walk: Walk, here: JsonLocation) -> None:
        for field in self._required:
            if field.name not in arguments:
                walk.refuse(here, field.json_name, "must be given")
        for group in self._oneofs:
            given = [field for field in group if field.name in arguments]
            for field in given if len(given) > 1 else ():
                walk.refuse(here, field.json_name, "must not be given together with its alternatives")
        for label, (name, reader) in self._messages.items():
            inner = arguments.get(name)
            if type(inner) is dict:
                reader._check_presence(inner, walk, (here, label, 0))


_NOTHING = QueryReader()
