"""Who calls whom, how often, how well and how fast: from the figures of the callers, which count every call, and not
from spans, of which only some are kept."""

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from souk.console.telemetry.queries.figures import Increase, added, bounds_of, increases, quantile
from souk.kernel.clock import MICROSECONDS

CALLS = "souk_call_seconds"
"""The histogram of calls between services, by caller, callee, method and outcome."""
FAILURES = frozenset({"unknown", "not_sent"})
"""Outcomes that are failures; a refusal is an answer that the contract lists."""


@dataclass(frozen=True, slots=True)
class CallFigures:
    """Calls of a window: `rate` per second, of which `failures` and `refusals`; half and 99 % took at most so long.

    `method` is empty for all methods of the callee together.
    """

    caller: str
    callee: str
    method: str
    rate: float
    failures: float
    refusals: float
    p50: float | None
    p99: float | None

    @property
    def document(self) -> dict[str, object]:
        """The same, as JSON has it."""
        return {name: getattr(self, name) for name in self.__slots__}


def read_edges(
    connection: sqlite3.Connection, since: int, until: int, *, by_method: bool = False
) -> Sequence[CallFigures]:
    """Returns every pair of a caller and a callee between which there were calls, or each of their methods."""
    bounds, grouped = bounds_of(connection, CALLS), defaultdict[tuple[str, str, str], list[Increase]](list)
    for one in increases(connection, CALLS, since, until):
        labels = one.labels
        method = labels.get("method", "") if by_method else ""
        grouped[labels.get("caller", ""), labels.get("callee", ""), method].append(one)
    seconds = max((until - since) / MICROSECONDS, 1e-6)
    return [_figures(key, found, bounds, seconds) for key, found in sorted(grouped.items())]


def _figures(
    key: tuple[str, str, str], found: Sequence[Increase], bounds: Sequence[float], seconds: float
) -> CallFigures:
    def rate(*outcomes: str) -> float:
        return sum(one.value for one in found if not outcomes or one.labels.get("outcome") in outcomes) / seconds

    counts = added([one.counts for one in found])
    return CallFigures(
        *key, rate(), rate(*FAILURES), rate("refused"), quantile(0.5, bounds, counts), quantile(0.99, bounds, counts)
    )
