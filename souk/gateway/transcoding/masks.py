"""Infers the field mask of a PATCH from what its body has.

A partial update says which fields it changes by a google.protobuf.FieldMask beside the resource (google.aip.dev/134).
A client that only sends the fields which it changes has said so already.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask

from souk.descriptors.protojson.well_known import mask_of, plain_message


class MaskInference:
    """Makes the mask `field` of a request from what its body has: the field `body`, a message `resource`."""

    def __init__(self, field: str, body: str, resource: Descriptor) -> None:
        self.field, self._body, self._resource = field, body, resource

    @classmethod
    def of(cls, message: Descriptor, body: FieldDescriptor) -> "MaskInference | None":
        """Returns the inference for requests whose body is one field; None if they have no single mask to fill."""
        mask, resource = mask_of(message), plain_message(body)
        return cls(mask, body.name, resource) if mask is not None and resource is not None else None

    def infer(self, read: Mapping[str, Any]) -> FieldMask:
        """Returns the mask for what was read from a body: the paths of the fields that it has."""
        return FieldMask(paths=_paths(self._resource, read.get(self._body, {}), ""))


def _paths(message: Descriptor, read: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name, value in read.items():
        inner = plain_message(message.fields_by_name[name])
        if inner is not None and value:
            yield from _paths(inner, value, f"{prefix}{name}.")
        else:
            yield prefix + name
