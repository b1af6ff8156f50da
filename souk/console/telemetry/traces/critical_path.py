"""The critical path of a trace: which span the end of the whole was waiting for, at each moment.

The algorithm is that of CRISP (Zhang et al., "CRISP: Critical Path Analysis of Large-Scale Microservice Architectures",
USENIX ATC 2022): from the end of the root backwards. The child that ended last was waited for; from its beginning on it
goes on in the same way, with the children that had ended by then. What lies between is the parent's own time. A child
that outlives its parent counts to the parent's end, and one that began after it not at all.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from souk.console.telemetry.traces.trace import TraceSpan, TraceTree

TOLERANCE = 100
"""Microseconds by which clocks may differ: processes read the machine's clock at slightly different moments."""


@dataclass(frozen=True, slots=True)
class PathSegment:
    """A span that the end of the trace was waiting for, from one moment to another, in microseconds."""

    span_id: str
    began: int
    ended: int

    @property
    def took(self) -> int:
        """How long that was."""
        return self.ended - self.began


def critical_path(tree: TraceTree) -> Sequence[PathSegment]:
    """Returns the segments of the first root's path, the earliest first; together they cover all of its time."""
    if not tree.roots:
        return []
    found: list[PathSegment] = []
    root = tree.roots[0]
    waiting: list[tuple[TraceSpan, int, int] | PathSegment] = [(root, root.began, root.ended)]
    while waiting:
        one = waiting.pop()
        if isinstance(one, PathSegment):
            found.append(one)
        else:
            waiting += _parts(tree, *one)
    return _merged(sorted((one for one in found if one.took > 0), key=lambda one: one.began))


def _parts(
    tree: TraceTree, span: TraceSpan, began: int, ended: int
) -> Iterator[tuple[TraceSpan, int, int] | PathSegment]:
    """Divides a span's time on the path among itself and the children that were waited for."""
    moment = ended
    children = sorted(tree.children.get(span.span_id, ()), key=lambda one: (one.ended, one.began), reverse=True)
    for child in children:
        if moment != ended and child.ended > moment + TOLERANCE:
            continue  # it ran beside the one that was waited for
        until, start = min(child.ended, moment), max(child.began, began)
        if start >= until:
            continue
        yield PathSegment(span.span_id, until, moment)
        yield child, start, until
        moment = start
    yield PathSegment(span.span_id, began, moment)


def _merged(segments: Sequence[PathSegment]) -> Sequence[PathSegment]:
    found: list[PathSegment] = []
    for one in segments:
        if found and found[-1].span_id == one.span_id and found[-1].ended == one.began:
            found[-1] = PathSegment(one.span_id, found[-1].began, one.ended)
        else:
            found.append(one)
    return found


def time_on_path(path: Sequence[PathSegment]) -> Mapping[str, int]:
    """Adds up how long each span was waited for, in microseconds."""
    found: dict[str, int] = {}
    for one in path:
        found[one.span_id] = found.get(one.span_id, 0) + one.took
    return found
