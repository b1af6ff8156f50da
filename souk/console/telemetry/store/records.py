"""What is written to the console's file in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

OVERHEAD = 160
"""Bytes of a span beside its texts: numbers, keys, and its part of pages and indexes."""


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """A span; times in microseconds. `attributes` is a JSON object, `links` are separated by blanks."""

    trace_id: str
    span_id: str
    parent_id: str
    process: str
    service: str
    name: str
    kind: int
    began: int
    took: int
    error: str
    attributes: str
    links: str

    @property
    def bytes(self) -> int:
        """About how many bytes it takes in the file."""
        texts = (self.service, self.name, self.error, self.attributes, self.links, self.process)
        return OVERHEAD + sum(map(len, texts))


@dataclass(frozen=True, slots=True)
class RingPosition:
    """How far the spans of a process have been read; `lost` are those that were pushed out since the read before."""

    ring: str
    process: str
    position: int
    lost: int


@dataclass(frozen=True, slots=True)
class MetricRecord:
    """What a metric is. `bounds` are those of a histogram's buckets."""

    name: str
    type: str
    help: str
    bounds: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class PointRecord:
    """A figure of a metric that has changed; `labels` is a JSON object. `counts` are those of a histogram's buckets."""

    metric: str
    labels: str
    value: float
    sum: float = 0.0
    counts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ScrapeRecord:
    """The figures of a process at one moment: those that have changed since its last scrape."""

    epoch: str
    process: str
    service: str
    at: int
    metrics: Sequence[MetricRecord]
    points: Sequence[PointRecord]


@dataclass(slots=True)
class TelemetryBatch:
    """What the gatherer has read since it wrote last."""

    spans: list[SpanRecord] = field(default_factory=list)
    positions: dict[str, RingPosition] = field(default_factory=dict)
    scrapes: list[ScrapeRecord] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.spans or self.positions or self.scrapes)

    def add(self, later: "TelemetryBatch") -> None:
        """Adds what was read later."""
        self.spans += later.spans
        self.scrapes += later.scrapes
        for ring, one in later.positions.items():
            before = self.positions.get(ring)
            self.positions[ring] = replace(one, lost=one.lost + (before.lost if before else 0))
