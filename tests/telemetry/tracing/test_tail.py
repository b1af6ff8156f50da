"""What is kept of traces that the head has not sampled."""

import pytest

from souk.telemetry.tracing.sampling import HeadSampler, always_off
from souk.telemetry.tracing.span import Span, SpanKind
from souk.telemetry.tracing.tail import KEPT_FOR, TailLimits, TailSampler
from souk.telemetry.tracing.tracer import Tracer
from souk.testing.clocks import FakeClock
from souk.testing.recorded_spans import RecordedSpans

LIMITS = TailLimits(slow=1.0, hold=10.0, most=20)


class World:
    def __init__(self) -> None:
        self.clock, self.spans = FakeClock(), RecordedSpans()
        self.tail = TailSampler(self.spans, self.clock, LIMITS)
        self.tracer = Tracer("order", HeadSampler(always_off), self.clock, self.spans, self.tail)

    def start(self, name: str = "work", parent: str = "") -> Span:
        return self.tracer.start(name, SpanKind.SERVER, parent)

    @property
    def names(self) -> list[str]:
        return [one.name for one in self.spans.ended]


@pytest.fixture
def world() -> World:
    return World()


def test_a_trace_without_anything_remarkable_is_forgotten(world: World) -> None:
    root = world.start()
    world.start("child", root.traceparent).end()
    root.end()
    world.clock.advance(11.0)
    world.start().end()
    assert world.names == []
    assert world.tail.forgotten == 2


def test_all_of_a_trace_is_kept_before_and_after_its_failure(world: World) -> None:
    root = world.start("root")
    world.start("before", root.traceparent).end()
    world.start("failed", root.traceparent).end("UNAVAILABLE")
    world.start("after", root.traceparent).end()
    world.start("of another trace").end()
    root.end()
    assert world.names == ["before", "failed", "after", "root"]
    assert [one.attributes.get(KEPT_FOR) for one in world.spans.ended] == [None, "failed", None, None]
    assert world.tail.kept == 4


@pytest.mark.parametrize("reason", ["retried", "compensated"])
def test_what_was_retried_or_compensated_is_kept(world: World, reason: str) -> None:
    span = world.start()
    span.reason = reason
    span.end()
    assert [one.attributes[KEPT_FOR] for one in world.spans.ended] == [reason]


def test_what_was_slow_is_kept_but_not_what_streams(world: World) -> None:
    slow, stream, quick = world.start("slow"), world.start("stream"), world.start("quick")
    stream.streaming = True
    world.clock.advance(0.999)
    quick.end()
    world.clock.advance(0.001)
    slow.end()
    stream.end()
    assert world.names == ["slow"]


def test_an_expected_error_is_no_reason(world: World) -> None:
    world.start().end("NOT_FOUND", expected=True)
    assert world.names == []


def test_what_waits_is_bounded_and_the_oldest_go_first(world: World) -> None:
    roots = [world.start(str(number)) for number in range(1_000)]
    for root in roots:
        world.start("child", root.traceparent).end()
    assert len(world.tail._traces) <= LIMITS.most
    roots[0].end("UNAVAILABLE")
    roots[-1].end("UNAVAILABLE")
    assert world.names == ["0", "child", "999"]


def test_one_trace_that_grows_for_ever_is_bounded_too(world: World) -> None:
    root = world.start()
    for _ in range(1_000):
        world.start("child", root.traceparent).end()
    assert world.tail._count <= LIMITS.most
