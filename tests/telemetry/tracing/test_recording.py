"""What a tracer makes of a trace context, and what a batch processor does when its exporter does not keep up."""

import threading
from collections.abc import Sequence

import pytest

from souk.kernel.clock import SystemClock
from souk.telemetry.tracing.batch import BatchLimits, BatchSpanProcessor
from souk.telemetry.tracing.sampling import HeadSampler, always_off, always_on, by_ratio, head_sampler
from souk.telemetry.tracing.span import Span, SpanKind
from souk.telemetry.tracing.tracer import Tracer
from souk.testing.recorded_spans import RecordedSpans

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
UNSAMPLED = PARENT[:-1] + "0"
SAFETY = 60.0


def test_a_span_goes_on_with_the_trace_of_its_parent() -> None:
    spans = RecordedSpans()
    span = spans.tracer("order").start("work", SpanKind.SERVER, PARENT)
    assert (span.trace_id, span.parent_id) == (PARENT[3:35], PARENT[36:52])
    assert span.span_id != span.parent_id
    assert span.traceparent == f"00-{span.trace_id}-{span.span_id}-01"
    assert spans.ended == []
    span.end()
    span.end("again")
    assert spans.ended == [span]
    assert span.error == ""


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        "00-xyz",
        PARENT + "\r\nx: y",
        PARENT.upper(),
        "ff" + PARENT[2:],
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{PARENT[3:35]}-{'0' * 16}-01",
        "0" * 100_000,
        "00-\u0663bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ],
)
def test_a_hostile_context_is_absent(hostile: str) -> None:
    span = RecordedSpans().tracer("order").start("work", SpanKind.SERVER, hostile)
    assert span.parent_id == ""
    assert span.trace_id not in (PARENT[3:35], "0" * 32)
    assert len(span.traceparent) == 55


def test_a_later_version_of_the_header_is_read_as_far_as_it_is_known() -> None:
    span = RecordedSpans().tracer("order").start("work", SpanKind.SERVER, f"01-{PARENT[3:53]}03-more")
    assert (span.trace_id, span.parent_id, span.traceparent[-2:]) == (PARENT[3:35], PARENT[36:52], "01")


def test_the_caller_decides_for_a_parent_based_sampler() -> None:
    spans = RecordedSpans()
    tracer = spans.tracer("order", sampler=HeadSampler(always_off))
    for parent in (PARENT, UNSAMPLED, ""):
        tracer.start(parent[-1:], SpanKind.SERVER, parent).end()
    assert [one.name for one in spans.ended] == ["1"]


def test_another_sampler_decides_by_itself() -> None:
    spans = RecordedSpans()
    tracer = spans.tracer("order", sampler=HeadSampler(always_on, parent_based=False))
    span = tracer.start("work", SpanKind.SERVER, UNSAMPLED)
    span.end()
    assert spans.ended == [span]
    assert span.traceparent.endswith("-01")


def test_what_is_not_sampled_is_named_so_to_those_it_calls() -> None:
    span = RecordedSpans().tracer("order", sampler=HeadSampler(always_off)).start("work", SpanKind.SERVER)
    assert span.traceparent.endswith("-00")
    assert span.processor is None


def test_a_ratio_is_decided_by_the_random_part_of_the_id() -> None:
    prefix = "f" * 18
    quarter = by_ratio(0.25)
    assert [quarter(prefix + first + "0" * 13) for first in "048bcf"] == [False, False, False, False, True, True]
    assert by_ratio(1.0)("0" * 32)
    assert not by_ratio(0.0)("f" * 32)


@pytest.mark.parametrize("argument", ["1.5", "-0.1", "many", "nan"])
def test_a_ratio_that_is_none_is_refused(argument: str) -> None:
    with pytest.raises(Exception, match="OTEL_TRACES_SAMPLER_ARG"):
        head_sampler("traceidratio", argument)


class Exporter:
    """An exporter that works, fails, raises or hangs, as the test says."""

    def __init__(self) -> None:
        self.got: list[Span] = []
        self.works = True
        self.raises = False
        self.free, self.asked, self.closed = threading.Event(), threading.Event(), threading.Event()
        self.free.set()

    def export(self, spans: Sequence[Span]) -> bool:
        self.asked.set()
        self.free.wait(SAFETY)
        if self.raises:
            raise OSError("the exporter is broken")
        if self.works:
            self.got.extend(spans)
        return self.works

    def shutdown(self) -> None:
        self.closed.set()
        self.free.set()


def record(processor: BatchSpanProcessor, count: int) -> None:
    tracer = Tracer("order", HeadSampler(always_on), SystemClock(), processor)
    for number in range(count):
        tracer.start(str(number), SpanKind.INTERNAL).end()


def test_all_that_was_recorded_is_exported_at_the_end_in_order() -> None:
    exporter = Exporter()
    processor = BatchSpanProcessor(exporter, BatchLimits(queue=100, batch=10, delay=SAFETY))
    record(processor, 37)
    processor.close(SAFETY)
    assert [one.name for one in exporter.got] == [str(number) for number in range(37)]
    assert (processor.exported, processor.dropped, processor.failed) == (37, 0, 0)
    assert exporter.closed.is_set()


def test_a_full_batch_does_not_wait_for_the_delay() -> None:
    exporter = Exporter()
    processor = BatchSpanProcessor(exporter, BatchLimits(queue=100, batch=10, delay=SAFETY))
    record(processor, 10)
    assert exporter.asked.wait(SAFETY / 2)
    processor.close(SAFETY)


def test_an_exporter_that_hangs_costs_nothing_but_spans_and_those_are_counted() -> None:
    exporter = Exporter()
    exporter.free.clear()
    processor = BatchSpanProcessor(exporter, BatchLimits(queue=20, batch=10, delay=SAFETY))
    record(processor, 10)
    assert exporter.asked.wait(SAFETY)  # ten are in its hands now
    record(processor, 50)
    assert processor.dropped == 30
    processor.close(0.05)
    assert exporter.closed.is_set()
    assert processor.dropped == 50


@pytest.mark.parametrize("raises", [False, True])
def test_what_an_exporter_cannot_deliver_is_counted_and_it_is_asked_again(raises: bool) -> None:
    exporter = Exporter()
    exporter.works, exporter.raises = False, raises
    processor = BatchSpanProcessor(exporter, BatchLimits(queue=100, batch=1, delay=SAFETY))
    record(processor, 1)
    assert exporter.asked.wait(SAFETY)
    while not processor.failed:
        threading.Event().wait(0.001)
    exporter.works, exporter.raises = True, False
    record(processor, 2)
    processor.close(SAFETY)
    assert (processor.exported, processor.failed) == (2, 1)


def test_what_ends_after_the_end_is_dropped_and_counted() -> None:
    processor = BatchSpanProcessor(Exporter())
    processor.close(SAFETY)
    record(processor, 3)
    assert processor.dropped == 3


def test_attributes_in_common_are_copied_before_one_is_added() -> None:
    spans, common, answered = RecordedSpans(), {"a": "1"}, {"a": "1", "status": "OK"}
    tracer = spans.tracer("order")
    plain, changed = (tracer.start("call", SpanKind.CLIENT, shared=common) for _ in range(2))
    changed.attributes["server.address"] = "x"
    for one in (plain, changed):
        one.end_sharing(answered)
    assert [one.attributes for one in spans.ended] == [answered, {**answered, "server.address": "x"}]
    plain.attributes["souk.sampling.reason"] = "slow"
    assert (common, answered) == ({"a": "1"}, {"a": "1", "status": "OK"})
