"""Makes the messages of a process's spans and figures, for whoever gathers them."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample
from soukapi.v1 import fleet_pb2

from souk.kernel.clock import MICROSECONDS, Clock
from souk.telemetry.tracing.ring import SpanRing
from souk.telemetry.tracing.span import Span

MOST_SPANS = 1_000
"""Spans of one answer: usually some 500 KB, and a few milliseconds of the event loop."""
LARGEST = 2 << 20
"""Bytes of one answer; gRPC takes 4 MiB."""
LONGEST_ATTRIBUTES, MOST_LINKS = 8_000, 100
"""Characters of the attributes of one span, as JSON, and its links; what is beyond is left out."""
_HISTOGRAM, _BOUND = "histogram", "le"
_encode = json.JSONEncoder(separators=(",", ":"), default=list).encode

LabelValues: TypeAlias = tuple[str, ...]


def read_spans(ring: SpanRing, request: fleet_pb2.ReadSpansRequest, clock: Clock) -> fleet_pb2.ReadSpansResponse:
    """Answers with the spans that the request asks for, dated by the clock as it is now."""
    most = request.most if 0 < request.most <= MOST_SPANS else MOST_SPANS
    found = ring.read(request.ring, request.position, most)
    offset = clock.now() - int(clock.monotonic() * MICROSECONDS)
    spans = list(_that_fit(found.spans, offset))
    left = len(found.spans) - len(spans)
    return fleet_pb2.ReadSpansResponse(
        ring=found.ring, position=found.position - left, lost=found.lost, more=found.more or left > 0, spans=spans
    )


def _that_fit(spans: Iterable[Span], offset: int) -> Iterator[fleet_pb2.RecordedSpan]:
    size = 0
    for one in spans:
        made = _span(one, offset)
        size += made.ByteSize()
        if size > LARGEST:
            return
        yield made


def _span(span: Span, offset: int) -> fleet_pb2.RecordedSpan:
    began = int(span.started * MICROSECONDS)
    return fleet_pb2.RecordedSpan(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_id=span.parent_id,
        service=span.service,
        name=span.name,
        kind=span.kind,
        started=began + offset,
        took=int(span.ended * MICROSECONDS) - began,
        error=span.error,
        attributes=_attributes(span),
        links=span.links[:MOST_LINKS],
    )


def _attributes(span: Span) -> str:
    text = _encode(span.attributes)
    if len(text) <= LONGEST_ATTRIBUTES:
        return text
    kept = {name: value for name, value in span.attributes.items() if len(_encode(value)) < LONGEST_ATTRIBUTES // 32}
    short = _encode({**kept, "souk.attributes_left_out": len(span.attributes) - len(kept)})
    return short if len(short) <= LONGEST_ATTRIBUTES else _encode({"souk.attributes_left_out": len(span.attributes)})


def read_metrics(registry: CollectorRegistry) -> Iterator[fleet_pb2.MetricFamily]:
    """Gives every metric of a registry that has a series."""
    for metric in registry.collect():
        if metric.samples:
            yield _histogram(metric) if metric.type == _HISTOGRAM else _plain(metric)


def _plain(metric: Metric) -> fleet_pb2.MetricFamily:
    own = {metric.name, f"{metric.name}_total", f"{metric.name}_info"}
    samples = [one for one in metric.samples if one.name in own]
    names = _label_names(samples)
    return _family(metric, names, [
        fleet_pb2.MetricSeries(labels=_values(one, names), value=one.value) for one in samples
    ])  # fmt: skip


def _histogram(metric: Metric) -> fleet_pb2.MetricFamily:
    names = tuple(one for one in _label_names(metric.samples) if one != _BOUND)
    series: dict[LabelValues, fleet_pb2.MetricSeries] = {}
    bounds: dict[str, float] = {}
    for sample in metric.samples:
        values = _values(sample, names)
        one = series.get(values)
        if one is None:
            one = series[values] = fleet_pb2.MetricSeries(labels=values)
        if _BOUND in sample.labels:
            bounds.setdefault(sample.labels[_BOUND], float(sample.labels[_BOUND]))
            one.counts.append(int(sample.value))
            one.value = sample.value  # the last bucket has all
        elif sample.name.endswith("_sum"):
            one.sum = sample.value
    family = _family(metric, names, series.values())
    family.bounds.extend(bounds.values())
    return family


def _family(metric: Metric, names: Sequence[str], series: Iterable[fleet_pb2.MetricSeries]) -> fleet_pb2.MetricFamily:
    return fleet_pb2.MetricFamily(
        name=metric.name, type=metric.type, help=metric.documentation, labels=names, series=series
    )


def _label_names(samples: Sequence[Sample]) -> LabelValues:
    return tuple(dict.fromkeys(name for sample in samples for name in sample.labels))


def _values(sample: Sample, names: LabelValues) -> LabelValues:
    labels = sample.labels
    return tuple([labels.get(name, "") for name in names])
