"""The paths of operations in OpenAPI, whose parameters are single segments: a variable such as `{name=shelves/*}`
becomes its literals, and a parameter for each of its wildcards.

OpenAPI allows no two paths that differ only in the names of their parameters, which google.api.http does; the first
one names them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from souk.descriptors.path_template import ONE, REST, PathVariable, Template
from souk.descriptors.protojson.well_known import plain_message

VARIABLE = re.compile(r"\{([^}]*)\}")
"""A parameter in a path of OpenAPI."""


@dataclass(frozen=True, slots=True)
class PathParameter:
    """A parameter of a path: for one wildcard, in a variable that fills `field` or, without a field, in none.

    `template` is the variable's own if it is more than that wildcard.
    """

    name: str
    field: FieldDescriptor | None
    template: str
    many: bool


class Paths:
    """Gives the paths of all operations of a document."""

    def __init__(self) -> None:
        self._names: dict[tuple[tuple[str, ...], str], tuple[str, ...]] = {}
        self._known: dict[str, str] = {}

    def known(self, path: str) -> str:
        """Returns the path that was given already and differs from this one in names alone; else this one."""
        return self._known.setdefault(VARIABLE.sub("{}", path), path)

    def of(self, path: str, message: Descriptor) -> tuple[str, list[PathParameter]]:
        """Returns a rule's path for OpenAPI, and its parameters, for requests of the type `message`."""
        template = Template.parse(path)
        own = list(_parameters(template, message))
        names = self._names.setdefault((template.segments, template.verb), tuple(one.name for one in own))
        named = [PathParameter(name, one.field, one.template, one.many) for name, one in zip(names, own, strict=True)]
        left = iter(names)
        segments = ("{" + next(left) + "}" if segment in (ONE, REST) else segment for segment in template.segments)
        written = "".join(f"/{segment}" for segment in segments)
        found = f"{written}:{template.verb}" if template.verb else written
        self.known(found)
        return found, named


def _parameters(template: Template, message: Descriptor) -> Iterator[PathParameter]:
    owners = {piece: variable for variable in template.bindings for piece in variable.pieces if isinstance(piece, int)}
    wildcards = [segment for segment in template.segments if segment in (ONE, REST)]
    for index, segment in enumerate(wildcards):
        variable = owners.get(index)
        if variable is None:
            yield PathParameter(f"wildcard{index + 1}", None, "", segment == REST)
            continue
        field, label = _field(message, variable.field)
        own = [piece for piece in variable.pieces if isinstance(piece, int)]
        name = label if len(own) == 1 else f"{label}{own.index(index) + 1}"
        yield PathParameter(name, field, "" if variable.single else _written(variable, template), segment == REST)


def _written(variable: PathVariable, template: Template) -> str:
    wildcards = [segment for segment in template.segments if segment in (ONE, REST)]
    return "/".join(piece if isinstance(piece, str) else wildcards[piece] for piece in variable.pieces)


def _field(message: Descriptor, path: str) -> tuple[FieldDescriptor, str]:
    here, labels = message, []
    for name in path.split("."):
        field: FieldDescriptor = here.fields_by_name[name]
        labels.append(field.json_name)
        here = field.message_type or here
    return field, ".".join(labels)


def query_fields(
    message: Descriptor, elsewhere: frozenset[str], prefix: str = "", within: frozenset[str] = frozenset()
) -> Iterator[tuple[str, FieldDescriptor]]:
    """Gives the fields that a query can have, by their keys; of a message in itself, the outermost fields only.

    `elsewhere` are the paths of the fields that the path or the body has.
    """
    for field in message.fields:
        if field.name in elsewhere:
            continue
        key, inner = prefix + field.json_name, plain_message(field)
        if inner is None:
            yield key, field
        elif inner.full_name not in within:
            yield from query_fields(
                inner, inner_paths(elsewhere, field.name), f"{key}.", within | {message.full_name, inner.full_name}
            )


def inner_paths(paths: frozenset[str], name: str) -> frozenset[str]:
    """Returns the paths within the field `name`, from there."""
    return frozenset(path.removeprefix(f"{name}.") for path in paths if path.startswith(f"{name}."))
