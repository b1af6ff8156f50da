"""An index of candidates by path, which gives them in the order of their precedence."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from souk.gateway.http.known_paths import KnownPaths
from souk.gateway.routing.matching.asked import Asked
from souk.gateway.routing.model import HttpRoute, Match, PathType, Rule

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class RouteCandidate(Generic[T]):
    """One match of one rule, for one hostname. `order` is its place in the file; `target` is what it leads to."""

    match: Match
    rule: Rule
    route: HttpRoute
    hostname: str
    order: int
    target: T

    @property
    def precedence(self) -> tuple[int, int, int, int, int]:
        """Orders the candidates of one kind and one path; the least comes first."""
        match = self.match
        length = 0 if match.path.type is PathType.TEMPLATE else len(match.path.value)
        return (-length, not match.method, -len(match.headers), -len(match.query), self.order)

    def fits(self, asked: Asked) -> bool:
        """Whether the request meets every condition besides host and path."""
        match = self.match
        return (
            (not match.method or match.method == asked.method or self._announced(asked))
            and (not match.headers or all(one.fits(asked.header(one.name)) for one in match.headers))
            and (not match.query or all(one.fits(asked.parameter(one.name)) for one in match.query))
        )

    def _announced(self, asked: Asked) -> bool:
        return self.rule.filters.cors is not None and asked.preflight == self.match.method

    def lacks(self, asked: Asked) -> str:
        """Says the first condition, besides host and path, that the request does not meet; empty if it meets all."""
        match = self.match
        if match.method and match.method != asked.method and not self._announced(asked):
            return f"the method is {asked.method}, not {match.method}"
        for one in match.headers:
            if not one.fits(given := asked.header(one.name)):
                return f"the header {one.name} is {_shown(given)}, not {one.value!r}"
        for one in match.query:
            if not one.fits(given := asked.parameter(one.name)):
                return f"the query parameter {one.name} is {_shown(given)}, not {one.value!r}"
        return ""


def _shown(value: str | None) -> str:
    return "missing" if value is None else repr(value)


@dataclass(slots=True)
class _TemplateNode(Generic[T]):
    literals: "dict[str, _TemplateNode[T]]" = field(default_factory=dict)
    variable: "_TemplateNode[T] | None" = None
    candidates: "list[RouteCandidate[T]]" = field(default_factory=list)


class PathIndex(Generic[T]):
    """The candidates of one hostname."""

    def __init__(self, candidates: Iterable[RouteCandidate[T]]) -> None:
        self._exact: dict[str, list[RouteCandidate[T]]] = {}
        self._templates: _TemplateNode[T] = _TemplateNode()
        self._depths: set[int] = set()
        self._patterns: list[RouteCandidate[T]] = []
        self._prefixes: dict[str, list[RouteCandidate[T]]] = {}
        self._deepest = 0
        self._asked: KnownPaths[list[list[RouteCandidate[T]]]] = KnownPaths(self._buckets)
        for one in sorted(candidates, key=lambda one: one.precedence):
            self._add(one)

    def _add(self, candidate: RouteCandidate[T]) -> None:
        path = candidate.match.path
        if path.type is PathType.EXACT:
            self._exact.setdefault(path.value, []).append(candidate)
        elif path.type is PathType.REGEX:
            self._patterns.append(candidate)
        elif path.type is PathType.PREFIX:
            self._prefixes.setdefault(path.prefix, []).append(candidate)
            self._deepest = max(self._deepest, path.prefix.count("/"))
        else:
            node, segments = self._templates, path.value.split("/")
            for segment in segments:
                if segment.startswith("{"):
                    node.variable = node = node.variable or _TemplateNode()
                else:
                    node = node.literals.setdefault(segment, _TemplateNode())
            node.candidates.append(candidate)
            self._depths.add(len(segments))

    def at(self, path: str) -> Iterator[RouteCandidate[T]]:
        """Gives every candidate whose path matches, the best first."""
        for bucket in self._buckets(path):
            yield from bucket

    def find(self, asked: Asked) -> RouteCandidate[T] | None:
        """Gives the best candidate for a request of this hostname."""
        for bucket in self._asked.of(asked.path):
            for one in bucket:
                if one.fits(asked):
                    return one
        return None

    def _buckets(self, path: str) -> list[list[RouteCandidate[T]]]:
        """Gives the candidates in groups, one for each way in which a path can match."""
        found: list[list[RouteCandidate[T]]] = []
        if (exact := self._exact.get(path)) is not None:
            found.append(exact)
        if self._depths and path.count("/") + 1 in self._depths:
            found.append(list(_at_template(self._templates, path.split("/"), 0)))
        if self._patterns:
            known = ((one, one.match.path.pattern) for one in self._patterns)
            found.append([one for one, pattern in known if pattern is not None and pattern.fullmatch(path)])
        if self._prefixes:
            found += self._by_prefix(path)
        return found

    def _by_prefix(self, path: str) -> list[list[RouteCandidate[T]]]:
        """Gives those at the prefixes of a path that end with a segment, the longest first."""
        found, end, known = [], 0, self._prefixes
        if (bucket := known.get("")) is not None:
            found.append(bucket)
        for _ in range(self._deepest):  # none of ours is longer
            end = path.find("/", end + 1)
            if (bucket := known.get(path if end < 0 else path[:end])) is not None:
                found.append(bucket)
            if end < 0:
                break
        found.reverse()
        return found

    def __iter__(self) -> Iterator[RouteCandidate[T]]:
        for bucket in (*self._exact.values(), list(_all(self._templates)), self._patterns, *self._prefixes.values()):
            yield from bucket


def _at_template(node: _TemplateNode[T], segments: list[str], depth: int) -> Iterator[RouteCandidate[T]]:
    if depth == len(segments):
        yield from node.candidates
        return
    literal = node.literals.get(segments[depth])
    if literal is not None:
        yield from _at_template(literal, segments, depth + 1)
    if node.variable is not None and segments[depth]:
        yield from _at_template(node.variable, segments, depth + 1)


def _all(node: _TemplateNode[T]) -> Iterator[RouteCandidate[T]]:
    yield from node.candidates
    for child in (*node.literals.values(), *((node.variable,) if node.variable else ())):
        yield from _all(child)
