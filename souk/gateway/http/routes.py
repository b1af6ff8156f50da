"""Finds the endpoint of a path by a trie of segments, compiled from the contracts' HTTP rules.

A literal segment beats a `*`, which beats a `**`. A custom verb (`/orders/{id}:cancel`) begins at the last plain
colon of the last segment, so a colon inside an id is written %3A. Segments are split before they are
decoded and decoded once: an encoded slash stays inside its segment, and nothing is normalised.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from souk.descriptors.path_template import ONE, REST, Template
from souk.gateway.http.known_paths import KnownPaths

T = TypeVar("T")


Captures = list[str | None]
"""What the wildcards of a template matched, in their order, still percent-encoded; None for a `**` of no segment."""
ANY_METHOD = "*"
"""The kind of a custom rule that leaves the HTTP method unspecified."""


@dataclass(slots=True)
class Leaf(Generic[T]):
    """One path of the router: its endpoints by HTTP method."""

    endpoints: dict[str, T] = field(default_factory=dict)

    def endpoint(self, method: str) -> T | None:
        """Returns the endpoint for a method: its own, for HEAD that of GET, or the one for any method."""
        found = self.endpoints.get(method)
        if found is None and method == "HEAD":
            found = self.endpoints.get("GET")
        return found if found is not None else self.endpoints.get(ANY_METHOD)

    @property
    def allow(self) -> str:
        """The value of the header `Allow`: GET implies HEAD, and OPTIONS is always allowed."""
        extra = {"OPTIONS", "HEAD"} if "GET" in self.endpoints else {"OPTIONS"}
        return ", ".join(sorted(self.endpoints.keys() | extra))


@dataclass(slots=True)
class _Node(Generic[T]):
    literals: "dict[str, _Node[T]]" = field(default_factory=dict)
    one: "_Node[T] | None" = None
    rest: "_Node[T] | None" = None
    leaves: dict[str, Leaf[T]] = field(default_factory=dict)

    def child(self, segment: str) -> "_Node[T]":
        """Returns the node for a segment of a template; makes it if there is none."""
        if segment == ONE:
            self.one = self.one or _Node()
            return self.one
        if segment == REST:
            self.rest = self.rest or _Node()
            return self.rest
        return self.literals.setdefault(segment, _Node())


class Router(Generic[T]):
    """The endpoints by method and path."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._fixed: dict[str, Leaf[T]] = {}
        self._asked: KnownPaths[tuple[Leaf[T], Captures] | None] = KnownPaths(self._find)

    def add(self, method: str, path: str, endpoint: T) -> None:
        """Adds an endpoint. Raises ValueError for a second one at the same method and path."""
        template = Template.parse(path)
        node = self._root
        for segment in template.segments:
            node = node.child(segment)
        leaf = node.leaves.setdefault(template.verb, Leaf())
        if method in leaf.endpoints:
            raise ValueError(f"two endpoints at {method} {path}")
        leaf.endpoints[method] = endpoint
        self._asked.forget()
        if template.fixed and not template.bindings:
            self._fixed[path] = leaf

    def find(self, path: str) -> "tuple[Leaf[T], Captures] | None":
        """Returns the leaf of a raw path and the captures of its wildcards, which nobody changes; None when there is
        none."""
        return self._asked.of(path)

    def _find(self, path: str) -> "tuple[Leaf[T], Captures] | None":
        leaf = self._fixed.get(path)
        if leaf is not None:
            return leaf, []
        if not path.startswith("/"):
            return None
        segments = path[1:].split("/")
        segments[-1], colon, verb = segments[-1].rpartition(":") if ":" in segments[-1] else (segments[-1], "", "")
        if colon and not verb:
            return None
        captures: Captures = []
        found = _descend(self._root, segments, 0, verb, captures)
        return None if found is None else (found, captures)

    def __iter__(self) -> Iterator[T]:
        return _endpoints(self._root)


def _descend(node: _Node[T], segments: list[str], depth: int, verb: str, captures: Captures) -> Leaf[T] | None:
    if depth == len(segments):
        return node.leaves.get(verb) or _rest(node, None, verb, captures)
    segment = segments[depth]
    literal = node.literals.get(segment)
    if literal is not None and (leaf := _descend(literal, segments, depth + 1, verb, captures)) is not None:
        return leaf
    if node.one is not None and segment:
        captures.append(segment)
        leaf = _descend(node.one, segments, depth + 1, verb, captures)
        if leaf is not None:
            return leaf
        captures.pop()
    return _rest(node, segments[depth:], verb, captures) if node.rest is not None else None


def _rest(node: _Node[T], segments: list[str] | None, verb: str, captures: Captures) -> Leaf[T] | None:
    leaf = node.rest.leaves.get(verb) if node.rest is not None else None
    if leaf is not None:
        captures.append(None if segments is None else "/".join(segments))
    return leaf


def _endpoints(node: _Node[T]) -> Iterator[T]:
    for leaf in node.leaves.values():
        yield from leaf.endpoints.values()
    for child in (*node.literals.values(), node.one, node.rest):
        if child is not None:
            yield from _endpoints(child)
