"""A trace as it is shown: every span with its depth, its moments, and its part of the critical path."""

from collections.abc import Sequence
from dataclasses import dataclass

from souk.console.telemetry.traces.critical_path import critical_path, time_on_path
from souk.console.telemetry.traces.trace import TraceSpan, TraceTree, tree_of


@dataclass(frozen=True, slots=True)
class ShownSpan:
    """A span of a tree. `offset` is from the trace's beginning, `waited` its part of the critical path: in us."""

    span: TraceSpan
    depth: int
    offset: int
    waited: int

    @property
    def document(self) -> dict[str, object]:
        """The same, as JSON has it."""
        span = self.span
        own = {
            name: getattr(span, name) for name in TraceSpan.__slots__ if name not in ("trace_id", "links", "attributes")
        }
        besides = {"attributes": dict(span.attributes), "links": list(span.links)}
        return {**own, "depth": self.depth, "offset": self.offset, "on_critical_path": self.waited, **besides}


@dataclass(frozen=True, slots=True)
class ShownTrace:
    """A trace with its spans in the order of the tree."""

    trace_id: str
    tree: TraceTree
    spans: Sequence[ShownSpan]

    @property
    def document(self) -> dict[str, object]:
        """The same, as JSON has it."""
        return {
            "trace_id": self.trace_id,
            "began": self.tree.began,
            "took": self.tree.took,
            "orphans": [one.span_id for one in self.tree.orphans],
            "spans": [one.document for one in self.spans],
        }


def shown_trace(spans: Sequence[TraceSpan]) -> ShownTrace:
    """Makes a trace as it is shown, of at least one span."""
    tree = tree_of(spans)
    waited = time_on_path(critical_path(tree))
    began = tree.began
    rows = [ShownSpan(one, depth, one.began - began, waited.get(one.span_id, 0)) for one, depth in tree.rows()]
    return ShownTrace(spans[0].trace_id, tree, rows)
