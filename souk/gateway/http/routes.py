"""Finds the endpoint of a path by a trie of segments, compiled from the contracts' HTTP rules.

A literal segment beats a variable. A custom verb (`/orders/{id}:cancel`) begins at the last plain
colon of the last segment, so a colon inside an id is written %3A. Segments are split before they are
decoded and decoded once: an encoded slash stays inside its segment, and nothing is normalised.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import unquote_to_bytes

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Template:
    """A path of a contract: literal segments and `{variables}`, and a custom verb, which may be empty."""

    segments: tuple[str, ...]
    verb: str

    @classmethod
    def parse(cls, path: str) -> "Template":
        """Parses a path. Raises ValueError unless each variable is one segment: `{name=shelves/*}` is not supported."""
        if not path.startswith("/"):
            raise ValueError(f"a path begins with a slash: {path}")
        *segments, last = path[1:].split("/")
        last, _, verb = last.partition(":")
        template = cls((*segments, last), verb)
        for segment in template.segments:
            if segment.startswith("{") != segment.endswith("}") or "*" in segment or "=" in segment:
                raise ValueError(f"unsupported path template: {path}")
        return template

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of the fields that the path fills."""
        return tuple(segment[1:-1] for segment in self.segments if segment.startswith("{"))


@dataclass(slots=True)
class Leaf(Generic[T]):
    """One path of the router: its endpoints by HTTP method, and the names of its variables."""

    variables: tuple[str, ...] = ()
    endpoints: dict[str, T] = field(default_factory=dict)

    @property
    def allow(self) -> str:
        """The value of the header `Allow`: GET implies HEAD, and OPTIONS is always allowed."""
        extra = {"OPTIONS", "HEAD"} if "GET" in self.endpoints else {"OPTIONS"}
        return ", ".join(sorted(self.endpoints.keys() | extra))


@dataclass(slots=True)
class _Node(Generic[T]):
    literals: "dict[str, _Node[T]]" = field(default_factory=dict)
    variable: "_Node[T] | None" = None
    leaves: dict[str, Leaf[T]] = field(default_factory=dict)


class Router(Generic[T]):
    """The endpoints by method and path."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._fixed: dict[str, Leaf[T]] = {}

    def add(self, method: str, path: str, endpoint: T) -> None:
        """Adds an endpoint. Raises ValueError for a second one at the same method and path."""
        template = Template.parse(path)
        node = self._root
        for segment in template.segments:
            if not segment.startswith("{"):
                node = node.literals.setdefault(segment, _Node())
            else:
                node.variable = node = node.variable or _Node()
        leaf = node.leaves.setdefault(template.verb, Leaf(template.variables))
        if method in leaf.endpoints or leaf.variables != template.variables:
            raise ValueError(f"two endpoints at {method} {path}")
        leaf.endpoints[method] = endpoint
        if not template.variables:
            self._fixed[path] = leaf

    def find(self, path: str) -> "tuple[Leaf[T], list[str]] | None":
        """Returns the leaf of a raw path and its variables, still percent-encoded; None when there is none."""
        leaf = self._fixed.get(path)
        if leaf is not None:
            return leaf, []
        if not path.startswith("/"):
            return None
        segments = path[1:].split("/")
        segments[-1], colon, verb = segments[-1].rpartition(":") if ":" in segments[-1] else (segments[-1], "", "")
        if colon and not verb:
            return None
        variables: list[str] = []
        found = _descend(self._root, segments, 0, verb, variables)
        return None if found is None else (found, variables)

    def __iter__(self) -> Iterator[T]:
        return _endpoints(self._root)


def _descend(node: _Node[T], segments: list[str], depth: int, verb: str, variables: list[str]) -> Leaf[T] | None:
    if depth == len(segments):
        return node.leaves.get(verb)
    segment = segments[depth]
    literal = node.literals.get(segment)
    if literal is not None and (leaf := _descend(literal, segments, depth + 1, verb, variables)) is not None:
        return leaf
    if node.variable is None or not segment:
        return None
    variables.append(segment)
    leaf = _descend(node.variable, segments, depth + 1, verb, variables)
    if leaf is None:
        variables.pop()
    return leaf


def _endpoints(node: _Node[T]) -> Iterator[T]:
    for leaf in node.leaves.values():
        yield from leaf.endpoints.values()
    children: Mapping[str, _Node[T]] = node.literals
    for child in (*children.values(), *((node.variable,) if node.variable else ())):
        yield from _endpoints(child)


def decoded(segment: str) -> str | None:
    """Decodes a percent-encoded segment; None when it is not valid percent-encoded UTF-8."""
    if not segment.isascii():
        return None
    if "%" not in segment:
        return segment
    plain = segment.replace("%", "")
    octets = unquote_to_bytes(segment)
    # The decoder leaves a percent sign without two hexadecimal digits as it is, which shows in the length.
    if len(octets) != len(plain.encode()) - segment.count("%"):
        return None
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return None
