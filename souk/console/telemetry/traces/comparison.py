"""Compares two traces by operation: what only one of them has, and what takes longer."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from souk.console.telemetry.traces.critical_path import critical_path, time_on_path
from souk.console.telemetry.traces.trace import TraceTree

SLOWER = 1.5
"""How many times as long an operation must take to be called slower, and at least NOTICED longer."""
NOTICED = 1_000
"""Microseconds that are worth a word."""


class Difference(StrEnum):
    """How an operation of the second trace differs from that of the first."""

    NEW = "new"
    MISSING = "missing"
    SLOWER = "slower"
    FASTER = "faster"
    FAILED = "failed"
    MENDED = "mended"
    MORE = "more often"
    FEWER = "less often"
    ALIKE = "alike"


@dataclass(frozen=True, slots=True)
class OperationTimes:
    """All spans of one operation in one trace; times in microseconds, `waited` is its part of the critical path."""

    count: int = 0
    errors: int = 0
    took: int = 0
    waited: int = 0


@dataclass(frozen=True, slots=True)
class OperationDifference:
    """One operation, in the first trace and in the second."""

    service: str
    name: str
    kind: str
    difference: Difference
    first: OperationTimes
    second: OperationTimes

    @property
    def document(self) -> dict[str, object]:
        """The same, as JSON has it."""
        sides = {
            side: {name: getattr(getattr(self, side), name) for name in OperationTimes.__slots__}
            for side in ("first", "second")
        }
        return {
            "service": self.service,
            "name": self.name,
            "kind": self.kind,
            "difference": str(self.difference),
            **sides,
        }


def compare_traces(first: TraceTree, second: TraceTree) -> Sequence[OperationDifference]:
    """Returns every operation of both, those first that differ most in time."""
    before, after = _times(first), _times(second)
    nothing = OperationTimes()
    found = [
        OperationDifference(
            *key, _difference(before.get(key), after.get(key)), before.get(key, nothing), after.get(key, nothing)
        )
        for key in {**before, **after}
    ]
    return sorted(
        found,
        key=lambda one: (
            one.difference is Difference.ALIKE,
            -abs(one.second.took - one.first.took),
            one.service,
            one.name,
        ),
    )


def _times(tree: TraceTree) -> dict[tuple[str, str, str], OperationTimes]:
    waited, found = time_on_path(critical_path(tree)), dict[tuple[str, str, str], OperationTimes]()
    for one in tree.spans.values():
        key = (one.service, one.name, one.kind)
        so_far = found.get(key, OperationTimes())
        found[key] = OperationTimes(
            so_far.count + 1,
            so_far.errors + bool(one.error),
            so_far.took + one.took,
            so_far.waited + waited.get(one.span_id, 0),
        )
    return found


def _difference(first: OperationTimes | None, second: OperationTimes | None) -> Difference:
    if first is None:
        return Difference.NEW
    if second is None:
        return Difference.MISSING
    if bool(first.errors) != bool(second.errors):
        return Difference.FAILED if second.errors else Difference.MENDED
    mean_before, mean_after = first.took / first.count, second.took / second.count
    if abs(mean_after - mean_before) >= NOTICED:
        if mean_after >= SLOWER * mean_before:
            return Difference.SLOWER
        if mean_before >= SLOWER * mean_after:
            return Difference.FASTER
    if first.count != second.count:
        return Difference.MORE if second.count > first.count else Difference.FEWER
    return Difference.ALIKE
