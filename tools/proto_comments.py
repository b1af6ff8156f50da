"""Reads the comments of contracts. Generated code drops them; a descriptor set with source info keeps them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

_CHILDREN = {
    "file": ((4, "message_type", "message"), (5, "enum_type", "enum"), (6, "service", "service")),
    "message": ((2, "field", "leaf"), (3, "nested_type", "message"), (4, "enum_type", "enum")),
    "enum": ((2, "value", "leaf"),),
    "service": ((2, "method", "leaf"),),
    "leaf": (),
}
"""Field numbers of descriptor.proto: the paths of source info consist of them."""


def by_package(files: FileDescriptorSet) -> Mapping[str, Mapping[str, str]]:
    """Gives, for each top-level package, the leading comments by full name, such as `shop.order.v1.Order.total`."""
    found: dict[str, dict[str, str]] = {}
    for file in files.file:
        found.setdefault(file.package.partition(".")[0], {}).update(_of_file(file))
    return found


def _of_file(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    comments = {tuple(location.path): location.leading_comments for location in file.source_code_info.location}
    for path, name in _locations(file, "file", (), file.package):
        if text := " ".join(comments.get(path, "").split()):
            yield name, text


def _locations(node: Any, kind: str, path: Sequence[int], name: str) -> Iterator[tuple[tuple[int, ...], str]]:
    for number, attribute, child_kind in _CHILDREN[kind]:
        for index, child in enumerate(getattr(node, attribute)):
            inner = (*path, number, index)
            yield inner, f"{name}.{child.name}"
            yield from _locations(child, child_kind, inner, f"{name}.{child.name}")
