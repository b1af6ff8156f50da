"""Finds the metrics and labels that an expression of PromQL names, and refuses those that do not exist."""

import re
from collections.abc import Iterable

from catalogue import ShownMetric

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_SELECTOR = re.compile(r"\{([^{}]*)\}")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)\)")
_RANGE = re.compile(r"\[[^\]]*\]|\boffset\s+\w+")
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?=\s*(\()?)")
_LABEL = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)\s*(?:=~|!~|!=|=)")
_TEMPLATE = re.compile(r"\$labels\.([a-zA-Z_]\w*)")
_WORDS = frozenset(
    {"and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "bool", "offset"}
)
TARGET_LABELS = frozenset({"job", "instance", "process"})
"""What `souk ps --targets` says of each process; every metric has them."""
FOREIGN = frozenset({"up", "process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"})
"""Metrics of Prometheus and its client for Python."""


class UnknownName(Exception):
    """An expression names a metric or a label that does not exist."""


class KnownMetrics:
    """The metrics that expressions may name: those of the catalogue, and what rules have recorded so far."""

    def __init__(self, metrics: Iterable[ShownMetric]) -> None:
        self._labels: dict[str, frozenset[str]] = dict.fromkeys(FOREIGN, TARGET_LABELS)
        for one in metrics:
            for series in one.series:
                own = {*one.labels, *TARGET_LABELS, *({"le"} if series.endswith("_bucket") else ())}
                self._labels[series] = frozenset(own)

    def require(self, expression: str, recorded: str = "") -> None:
        """Checks an expression, and then knows the metric that is `recorded` by it. Raises UnknownName."""
        metrics, labels = names(expression)
        for name in metrics:
            if name not in self._labels:
                raise UnknownName(f"there is no metric {name!r}: {expression}")
        there = self._of(metrics)
        for label in labels:
            if label not in there:
                raise UnknownName(f"none of {', '.join(sorted(metrics))} has a label {label!r}: {expression}")
        if recorded:
            self._labels[recorded] = there

    def require_text(self, expression: str, text: str) -> None:
        """Checks the labels that a text about an expression's result names. Raises UnknownName."""
        there = self._of(names(expression)[0])
        for label in _TEMPLATE.findall(text):
            if label not in there:
                raise UnknownName(f"no result has a label {label!r}: {text}")

    def _of(self, metrics: Iterable[str]) -> frozenset[str]:
        return frozenset().union(*(self._labels[name] for name in metrics))


def names(expression: str) -> tuple[set[str], set[str]]:
    """Returns the names of metrics and of labels in an expression."""
    plain = _STRING.sub('""', expression)
    labels = {label for inside in _SELECTOR.findall(plain) for label in _LABEL.findall(inside)}
    for inside in _GROUPING.findall(plain):
        labels |= {label.strip() for label in inside.split(",") if label.strip()}
    rest = _RANGE.sub(" ", _GROUPING.sub(" ", _SELECTOR.sub(" ", plain)))
    metrics = {found[0] for found in _NAME.finditer(rest) if not found[1] and found[0] not in _WORDS}
    return metrics, labels
