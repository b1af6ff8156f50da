"""Reads one process: what has come to its ring of spans since the last read, and the figures that have changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from soukapi.v1 import fleet_pb2

from souk.console.telemetry.gathering.decoding import metric_of, point_records, span_records
from souk.console.telemetry.store.records import (
    MetricRecord,
    PointRecord,
    RingPosition,
    ScrapeRecord,
    SpanRecord,
    TelemetryBatch,
)
from souk.kernel.clock import Clock

if TYPE_CHECKING:
    from soukapi.v1.fleet_pb2_grpc import ProcessAsyncStub

READS = 8
"""Reads of a ring in one round, at most: one that says for ever that there is more does not hold the others up."""
_MOST_LOST = 1 << 40


@dataclass(slots=True)
class ProcessReader:
    """Reads the process `process` of the service `service`.

    `known` are positions that were read before, by ring, such as by a gateway that has died.
    """

    process: str
    service: str
    clock: Clock
    known: Mapping[str, int] = field(default_factory=dict)
    _ring: str = ""
    _position: int = 0
    _epoch: str = ""
    _figures: dict[tuple[str, str], PointRecord] = field(default_factory=dict)
    _metrics: dict[str, MetricRecord] = field(default_factory=dict)

    async def read_spans(self, stub: "ProcessAsyncStub", into: TelemetryBatch) -> None:
        """Reads what has come to the ring. Raises AioRpcError."""
        for _ in range(READS):
            answer = await self._ask(stub)
            if not answer.ring:
                return
            found = list(span_records(answer.spans, self.process, self.clock.now()))
            into.spans.extend(found)
            self._moved(answer, found, into)
            if not answer.more or not answer.spans:
                return

    async def _ask(self, stub: "ProcessAsyncStub") -> fleet_pb2.ReadSpansResponse:
        answer = await stub.ReadSpans(fleet_pb2.ReadSpansRequest(ring=self._ring, position=self._position))
        if answer.ring != self._ring and answer.ring in self.known:
            self._ring, self._position = answer.ring, self.known[answer.ring]
            answer = await stub.ReadSpans(fleet_pb2.ReadSpansRequest(ring=self._ring, position=self._position))
        return answer

    def _moved(self, answer: fleet_pb2.ReadSpansResponse, found: list[SpanRecord], into: TelemetryBatch) -> None:
        lost = min(max(answer.lost, 0), _MOST_LOST)
        if (answer.ring, answer.position) == (self._ring, self._position) and not lost:
            return
        self._ring, self._position = answer.ring, max(answer.position, 0)
        before = into.positions.get(answer.ring)
        into.positions[answer.ring] = RingPosition(
            answer.ring, self.process, self._position, lost + (before.lost if before else 0)
        )

    async def read_figures(self, stub: "ProcessAsyncStub", into: TelemetryBatch) -> None:
        """Reads the figures, and keeps those that have changed. Raises AioRpcError."""
        answer = await stub.ReadMetrics(fleet_pb2.ReadMetricsRequest())
        if not answer.epoch:
            return
        if answer.epoch != self._epoch:
            self._epoch = answer.epoch
            self._figures.clear()
            self._metrics.clear()
        changed = []
        for one in point_records(answer.families):
            key = (one.metric, one.labels)
            if self._figures.get(key) != one:
                self._figures[key] = one
                changed.append(one)
        described = {one.name: one for one in map(metric_of, answer.families)}
        new = [one for name, one in described.items() if self._metrics.get(name) != one]
        self._metrics.update(described)
        # By this machine's clock, as spans are not: all figures of a moment are compared with one another.
        into.scrapes.append(ScrapeRecord(answer.epoch, self.process, self.service, self.clock.now(), new, changed))
