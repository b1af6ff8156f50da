"""Makes examples of messages in JSON.

Values come from `examples.json` beside the contracts' comments: by the full name of a field, such as
`shop.product.v1.Product.id`, or by its name alone for fields that mean the same everywhere. A field that has
neither entry gets a value within its limits, so that a contract without `examples.json` has examples, too.
"""

import sys
from collections.abc import Collection, Iterable, Mapping
from importlib.resources import files
from typing import Any

import orjson
from google.protobuf.descriptor import FieldDescriptor

from souk.descriptors.contract import Contract
from souk.descriptors.limits import policy_of
from souk.descriptors.openapi.paths import inner_paths
from souk.descriptors.protojson.names import enum_names, map_entry, must_be_given
from souk.descriptors.protojson.scalars import INTEGER_RANGES
from souk.descriptors.protojson.well_known import is_wrapper

FILE = "examples.json"
_TIME = "2026-11-29T09:30:00Z"
_WELL_KNOWN: Mapping[str, Any] = {
    "google.protobuf.Timestamp": _TIME,
    "google.protobuf.Duration": "5s",
    "google.protobuf.FieldMask": "",
    "google.protobuf.Struct": {},
    "google.protobuf.ListValue": [],
    "google.protobuf.Value": None,
}


class Examples:
    """Makes examples of messages; the same message always gives the same example."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def of(
        self, message: Any, *, request: bool = False, elsewhere: Collection[str] = (), within: Collection[str] = ()
    ) -> dict[str, Any]:
        """Returns an example of a message; `elsewhere` names fields of a request that are not in its body.

        `within` are the messages around it, which the example does not show once more.
        """
        around = {*within, message.full_name}
        return {
            field.json_name: self.value(
                field, request=request, elsewhere=inner_paths(frozenset(elsewhere), field.name), within=around
            )
            for field in message.fields
            if field.name not in elsewhere
            and not (field.message_type and field.message_type.full_name in around)
            and self._is_shown(field, request=request)
        }

    def _is_shown(self, field: FieldDescriptor, *, request: bool) -> bool:
        if self._given(field) is not None:
            return True
        if field.full_name in self._values:
            return False  # null in the file: the example leaves the field out
        return (
            must_be_given(field) or policy_of(field).min_items > 0
            if request
            else not field.has_presence or _nested(field)
        )

    def _given(self, field: FieldDescriptor) -> Any:
        if field.full_name in self._values:
            return self._values[field.full_name]
        return self._values.get(field.name)

    def value(
        self,
        field: FieldDescriptor,
        *,
        request: bool = False,
        elsewhere: Collection[str] = (),
        within: Collection[str] = (),
    ) -> Any:
        """Returns an example of a field's value, in a body, a path or a query."""
        given = self._given(field)
        if given is not None:
            return given
        if map_entry(field):
            return {}
        one = self._one(field, request=request, elsewhere=elsewhere, within=within)
        return [one] if field.is_repeated else one

    def parameter(self, field: FieldDescriptor, *, required: bool) -> dict[str, Any]:
        """Returns the `example` of a parameter; an optional parameter without an entry in the file has none."""
        return {"example": self.value(field)} if required or self._given(field) is not None else {}

    def _one(
        self, field: FieldDescriptor, *, request: bool, elsewhere: Collection[str], within: Collection[str]
    ) -> Any:
        message = field.message_type
        if message is None:
            return _scalar(field)
        if message.full_name in _WELL_KNOWN:
            return _WELL_KNOWN[message.full_name]
        if is_wrapper(message):
            return _scalar(message.fields_by_name["value"])
        return self.of(message, request=request, elsewhere=elsewhere, within=within)


def _nested(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.containing_oneof is None


def _scalar(field: FieldDescriptor) -> Any:
    policy = policy_of(field)
    if field.type in INTEGER_RANGES:
        return policy.minimum if policy.HasField("minimum") else 1
    if field.type == FieldDescriptor.TYPE_ENUM:
        return [*enum_names(field.enum_type).values()][-1]
    if field.type == FieldDescriptor.TYPE_BOOL:
        return True
    if field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        return 1.5
    if field.type == FieldDescriptor.TYPE_BYTES:
        return ""
    return "example".ljust(policy.min_length, "-")


def examples_of(contracts: Iterable[Contract]) -> Examples:
    """Reads the examples that ship with the contracts' generated code; a foreign contract may have none."""
    found: dict[str, Any] = {}
    for package in sorted({contract.full_name.partition(".")[0] for contract in contracts}):
        # As for comments: a contract's code is already imported, and another package must not be.
        if package in sys.modules and (file := files(package) / FILE).is_file():
            found.update(orjson.loads(file.read_bytes()))
    return Examples(found)
