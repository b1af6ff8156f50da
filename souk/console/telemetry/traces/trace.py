"""A trace as a tree of spans."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

KINDS = ("internal", "server", "client", "producer", "consumer")


@dataclass(frozen=True, slots=True)
class TraceSpan:
    """A span; times in microseconds."""

    trace_id: str
    span_id: str
    parent_id: str
    process: str
    service: str
    name: str
    kind: str
    began: int
    took: int
    error: str
    attributes: Mapping[str, Any]
    links: tuple[str, ...] = ()

    @property
    def ended(self) -> int:
        """When it ended."""
        return self.began + self.took


@dataclass(frozen=True, slots=True)
class TraceTree:
    """The spans of a trace by their parents. `roots` have none here; `orphans` are those of them that name one which is
    not kept, as when another process has forgotten its part."""

    spans: Mapping[str, TraceSpan]
    roots: Sequence[TraceSpan]
    children: Mapping[str, Sequence[TraceSpan]] = field(default_factory=dict)

    @property
    def orphans(self) -> Sequence[TraceSpan]:
        """Roots whose parent is missing, beside the first root: its parent is the client's own."""
        return [one for one in self.roots[1:] if one.parent_id]

    @property
    def began(self) -> int:
        """When the first span began."""
        return min(one.began for one in self.spans.values())

    @property
    def ended(self) -> int:
        """When the last span ended."""
        return max(one.ended for one in self.spans.values())

    @property
    def took(self) -> int:
        """From the first span's beginning to the last one's end."""
        return self.ended - self.began

    def rows(self) -> Iterator[tuple[TraceSpan, int]]:
        """Gives each span with its depth, parents before their children."""
        waiting = [(one, 0) for one in reversed(self.roots)]
        while waiting:
            span, depth = waiting.pop()
            yield span, depth
            waiting += [(one, depth + 1) for one in reversed(self.children.get(span.span_id, ()))]


def tree_of(spans: Sequence[TraceSpan]) -> TraceTree:
    """Makes the tree. A circle of parents, which only a broken client can make, is cut at its earliest span."""
    known = {one.span_id: one for one in spans}
    ordered = sorted(known.values(), key=lambda one: (one.began, -one.took, one.span_id))
    cut = _in_circles(known)
    roots, children = [], dict[str, list[TraceSpan]]()
    for one in ordered:
        if one.parent_id in known and one.span_id not in cut:
            children.setdefault(one.parent_id, []).append(one)
        else:
            roots.append(one)
    return TraceTree(known, roots, children)


def _in_circles(known: Mapping[str, TraceSpan]) -> set[str]:
    """Returns one span of each circle of parents: the earliest."""
    settled, cut = set[str](), set[str]()
    for start in known:
        path: dict[str, None] = {}
        at = start
        while at in known and at not in settled and at not in path:
            path[at] = None
            at = known[at].parent_id
        if at in path:
            names = list(path)
            cut.add(min(names[names.index(at) :], key=lambda one: (known[one].began, one)))
        settled.update(path)
    return cut
