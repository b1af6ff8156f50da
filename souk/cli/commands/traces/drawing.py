"""Draws a trace as lines of text: a tree, with a bar for when each span ran."""

from collections.abc import Iterator

from souk.cli.commands.traces.asking import milliseconds, moment_of
from souk.console.telemetry.traces.shown_trace import ShownSpan, ShownTrace

_BAR = 32
_WIDEST = 64


def drawn(trace: ShownTrace) -> Iterator[str]:
    """Gives the lines: a head, then each span. `*` is on the critical path, `!` has failed."""
    errors = sum(bool(one.span.error) for one in trace.spans)
    failed = f", {errors} failed" if errors else ""
    took = max(trace.tree.took, 1)
    yield f"trace {trace.trace_id}, {moment_of(trace.tree.began)}, {milliseconds(trace.tree.took)}"
    yield f"{len(trace.spans)} spans{failed}; * is on the critical path, ! has failed"
    names = [_name(one) for one in trace.spans]
    width = min(_WIDEST, max(map(len, names)))
    for one, name in zip(trace.spans, names, strict=True):
        mark = ("*" if one.waited else " ") + ("!" if one.span.error else " ")
        error = f"  {one.span.error}" if one.span.error else ""
        short = name if len(name) <= width else f"{name[: width - 1]}…"
        yield f"{mark} {short:<{width}}  {milliseconds(one.span.took):>12}  {_bar(one, took)}{error}".rstrip()
    for orphan in trace.tree.orphans:
        yield f"the parent of {orphan.name} ({orphan.service}) is not kept: another process has forgotten its part"


def _name(one: ShownSpan) -> str:
    return f"{'  ' * min(one.depth, 12)}{one.span.service}: {one.span.name}"


def _bar(one: ShownSpan, took: int) -> str:
    start = min(one.offset * _BAR // took, _BAR - 1)
    length = max(1, min(one.span.took * _BAR // took, _BAR - start))
    return f"{' ' * start}{'█' * length}".ljust(_BAR)
