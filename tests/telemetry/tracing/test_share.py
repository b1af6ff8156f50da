"""Under load the tail looks at a share of the traces, by their ids; the others are not recorded, and named on."""

import random

import pytest

from souk.telemetry.traces import new
from souk.telemetry.tracing.sampling import HeadSampler, always_off
from souk.telemetry.tracing.share import TailShare
from souk.telemetry.tracing.span import SpanKind
from souk.telemetry.tracing.tail import TailLimits, TailSampler
from souk.telemetry.tracing.tracer import Tracer
from souk.testing.clocks import FakeClock
from souk.testing.recorded_spans import RecordedSpans

RATE = 1_000


def ids(count: int, seed: int = 1) -> list[str]:
    chosen = random.Random(seed)
    return [f"00-{chosen.getrandbits(128):032x}-{chosen.getrandbits(64):016x}-00" for _ in range(count)]


def looked_at(share: TailShare, clock: FakeClock, headers: list[str], seconds: float) -> list[str]:
    """Which of the traces are looked at that begin evenly within so many seconds."""
    found = []
    for header in headers:
        clock.advance(seconds / len(headers))
        if share.has(header):
            found.append(header)
    return found


class TestTailShare:
    def test_all_are_looked_at_while_there_are_few(self) -> None:
        clock = FakeClock()
        share, headers = TailShare(RATE, clock), ids(5_000)
        assert looked_at(share, clock, headers, 6.0) == headers
        assert share.left_out == 0

    @pytest.mark.parametrize(("times", "wanted"), [(1.5, 0.5), (3, 0.25), (30, 1 / 32)])
    def test_under_load_the_rate_is_kept_after_a_second(self, times: float, wanted: float) -> None:
        clock = FakeClock()
        share = TailShare(RATE, clock)
        count = int(RATE * times)
        looked_at(share, clock, ids(2 * count), 2.0)
        found = looked_at(share, clock, ids(5 * count, seed=2), 5.0)
        assert len(found) <= 5 * RATE * 1.1
        assert len(found) / (5 * count) == pytest.approx(wanted, rel=0.2)

    def test_a_burst_is_not_let_through_for_a_second(self) -> None:
        clock = FakeClock()
        share = TailShare(RATE, clock)
        assert len(looked_at(share, clock, ids(50_000), 0.9)) < 5 * RATE

    def test_it_looks_at_all_again_when_the_load_is_over(self) -> None:
        clock = FakeClock()
        share = TailShare(RATE, clock)
        looked_at(share, clock, ids(50_000), 5.0)
        looked_at(share, clock, ids(500, seed=2), 5.0)
        headers = ids(500, seed=3)
        assert looked_at(share, clock, headers, 5.0) == headers

    def test_a_smaller_share_is_part_of_a_larger_one(self) -> None:
        headers, found = ids(2_000, seed=9), []
        for times in (4, 16):
            clock = FakeClock()
            share = TailShare(RATE, clock)
            looked_at(share, clock, ids(2 * times * RATE), 2.0)
            found.append(set(looked_at(share, clock, headers, 2_000 / RATE / times)))
        assert found[1] < found[0]


class LeftOut(TailShare):
    """A share that looks at nothing."""

    def has(self, traceparent: str) -> bool:
        self.left_out += 1
        return False


def test_work_that_is_left_out_names_its_parent_and_keeps_nothing_however_it_ends() -> None:
    clock, spans = FakeClock(), RecordedSpans()
    tail = TailSampler(spans, clock, TailLimits(slow=1.0))
    tracer = Tracer("order", HeadSampler(always_off), clock, spans, tail, LeftOut(1, clock))
    parent = new(sampled=False).traceparent
    for error in ("", "INTERNAL"):
        span = tracer.start("call", SpanKind.CLIENT, parent)
        span.attributes["rpc.response.status_code"] = "OK"
        assert span.traceparent == parent
        clock.advance(10.0)
        span.end(error)
        span.end_sharing({})
    edge = tracer.start_at_edge("GET", SpanKind.SERVER, new(), "", {}, trusted=False)
    edge.end("500")
    assert edge.traceparent.endswith("-00")
    assert (spans.ended, tail.forgotten) == ([], 0)


def test_a_trace_that_the_head_samples_is_recorded_whatever_the_share_says() -> None:
    clock, spans = FakeClock(), RecordedSpans()
    tracer = Tracer("order", HeadSampler(always_off), clock, spans, None, LeftOut(1, clock))
    tracer.start("call", SpanKind.CLIENT, new().traceparent).end()
    assert [span.name for span in spans.ended] == ["call"]
