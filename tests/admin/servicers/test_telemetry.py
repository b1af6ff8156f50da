"""What a process gives of its spans and figures, over its control socket."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram
from soukapi.v1 import fleet_pb2, fleet_pb2_grpc

from souk.admin.client import connection
from souk.admin.servicers.process import Inspected, controlling
from souk.admin.servicers.telemetry import LARGEST, LONGEST_ATTRIBUTES
from souk.runtime.calls.breaker_registry import Breakers
from souk.telemetry.health import Health
from souk.telemetry.tracing.ring import SpanRing
from souk.telemetry.tracing.sampling import HeadSampler, always_on
from souk.telemetry.tracing.span import SpanKind
from souk.telemetry.tracing.tracer import Tracer
from souk.telemetry.traffic import Traffic
from souk.testing.clocks import FakeClock


class World:
    def __init__(self) -> None:
        self.clock = FakeClock(now=1_800_000_000_000_000)
        self.ring, self.metrics = SpanRing(5_000), CollectorRegistry()
        self.tracer = Tracer("order", HeadSampler(always_on), self.clock, self.ring)
        self.inspected = Inspected(
            "order",
            "order-2",
            Breakers(self.clock),
            Traffic(),
            self.clock,
            Health(self.clock),
            spans=self.ring,
            metrics=self.metrics,
        )


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def process(tmp_path: Path, world: World) -> "AsyncIterator[fleet_pb2_grpc.ProcessAsyncStub]":
    async with controlling(tmp_path / "c.sock", world.inspected), connection(str(tmp_path / "c.sock")) as channel:
        yield fleet_pb2_grpc.ProcessStub(channel)


async def test_a_span_says_all_that_it_has(process: "fleet_pb2_grpc.ProcessAsyncStub", world: World) -> None:
    parent, link = f"00-{'a' * 32}-{'b' * 16}-01", f"00-{'c' * 32}-{'d' * 16}-01"
    span = world.tracer.start("charge", SpanKind.CLIENT, parent, {"n": 1, "souk.name": "ü", "all": ("x", "y")}, [link])
    began = world.clock.now()
    world.clock.advance(0.25)
    span.end("UNAVAILABLE")
    world.clock.advance(10.0)
    answer = await process.ReadSpans(fleet_pb2.ReadSpansRequest())
    (one,) = answer.spans
    assert (one.trace_id, one.span_id, one.parent_id) == ("a" * 32, span.span_id, "b" * 16)
    assert (one.service, one.name, one.kind, one.error) == ("order", "charge", SpanKind.CLIENT, "UNAVAILABLE")
    assert one.started == pytest.approx(began, abs=5)
    assert one.took == pytest.approx(250_000, abs=5)
    assert json.loads(one.attributes) == {"n": 1, "souk.name": "ü", "all": ["x", "y"], "error.type": "UNAVAILABLE"}
    assert list(one.links) == [link]
    assert (answer.ring, answer.position, answer.lost, answer.more) == (world.ring.id, 1, 0, False)


async def test_spans_come_in_parts(process: "fleet_pb2_grpc.ProcessAsyncStub", world: World) -> None:
    for number in range(2_500):
        world.tracer.start(str(number), SpanKind.INTERNAL).end()
    names: list[str] = []
    answer = fleet_pb2.ReadSpansResponse(more=True)
    while answer.more:
        answer = await process.ReadSpans(fleet_pb2.ReadSpansRequest(ring=answer.ring, position=answer.position))
        assert len(answer.spans) <= 1_000
        names += [one.name for one in answer.spans]
    assert names == [str(number) for number in range(2_500)]


async def test_large_spans_fit_into_an_answer(process: "fleet_pb2_grpc.ProcessAsyncStub", world: World) -> None:
    for number in range(500):
        attributes = {f"a{one}": "é" * 200 for one in range(6)}
        world.tracer.start(str(number), SpanKind.INTERNAL, "", {**attributes, "number": number}).end()
    answer = fleet_pb2.ReadSpansResponse(more=True)
    count = 0
    while answer.more:
        answer = await process.ReadSpans(fleet_pb2.ReadSpansRequest(ring=answer.ring, position=answer.position))
        assert 0 < answer.ByteSize() < LARGEST + 10_000
        count += len(answer.spans)
    assert count == 500


async def test_attributes_without_end_are_left_out(process: "fleet_pb2_grpc.ProcessAsyncStub", world: World) -> None:
    world.tracer.start("work", SpanKind.INTERNAL, "", {"huge": "x" * 1_000_000, "small": "kept"}).end()
    (one,) = (await process.ReadSpans(fleet_pb2.ReadSpansRequest())).spans
    assert len(one.attributes) <= LONGEST_ATTRIBUTES
    assert json.loads(one.attributes) == {"small": "kept", "souk.attributes_left_out": 1}


async def test_figures_come_with_their_labels(process: "fleet_pb2_grpc.ProcessAsyncStub", world: World) -> None:
    counts = Counter("souk_things", "Things.", ["kind"], registry=world.metrics)
    counts.labels("a").inc(3)
    times = Histogram("souk_seconds", "Times.", ["from", "to"], registry=world.metrics, buckets=(0.1, 1.0))
    for seconds in (0.05, 0.5, 5.0):
        times.labels("order", "bank").observe(seconds)
    answer = await process.ReadMetrics(fleet_pb2.ReadMetricsRequest())
    assert answer.at == world.clock.now()
    things, seconds_ = answer.families
    assert (things.name, things.type, list(things.labels)) == ("souk_things", "counter", ["kind"])
    assert [(list(one.labels), one.value) for one in things.series] == [(["a"], 3.0)]
    assert (seconds_.name, seconds_.type, list(seconds_.bounds)) == (
        "souk_seconds",
        "histogram",
        [0.1, 1.0, float("inf")],
    )
    (series,) = seconds_.series
    assert (list(series.labels), series.value, list(series.counts)) == (["order", "bank"], 3.0, [1, 2, 3])
    assert series.sum == pytest.approx(5.55)


async def test_a_process_that_keeps_no_spans_says_so(tmp_path: Path) -> None:
    clock = FakeClock()
    bare = Inspected("order", "order-2", Breakers(clock), Traffic(), clock, Health(clock))
    async with controlling(tmp_path / "c.sock", bare), connection(str(tmp_path / "c.sock")) as channel:
        stub = fleet_pb2_grpc.ProcessStub(channel)
        assert (await stub.ReadSpans(fleet_pb2.ReadSpansRequest())).ring == ""
        assert list((await stub.ReadMetrics(fleet_pb2.ReadMetricsRequest())).families) == []
