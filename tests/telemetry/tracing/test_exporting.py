"""Spans through OpenTelemetry's own exporters to a receiver of its protocol."""

import asyncio
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from souk.kernel.clock import SystemClock
from souk.telemetry.metrics import exposition
from souk.telemetry.tracing.settings import read_tracing
from souk.telemetry.tracing.span import SpanKind
from souk.telemetry.tracing.tracing import open_tracing
from souk.testing.otlp_receiver import OtlpReceiver, otlp_receiver

CLOCK = SystemClock()
ELSEWHERE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
def receiver() -> Iterator[OtlpReceiver]:
    with otlp_receiver() as receiver:
        yield receiver


@pytest.fixture(params=["http/protobuf", "grpc"])
def variables(
    request: pytest.FixtureRequest, receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    url = receiver.grpc_url if request.param == "grpc" else receiver.http_url
    given = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_PROTOCOL": request.param}
    for name, text in given.items():  # the exporters read their own
        monkeypatch.setenv(name, text)
    receiver.spans.clear()
    return given


async def test_two_services_of_one_process_arrive_as_two(receiver: OtlpReceiver, variables: dict[str, str]) -> None:
    registry = CollectorRegistry()
    async with open_tracing(read_tracing(variables), CLOCK, {"service.instance.id": "here"}) as tracing:
        assert tracing is not None
        registry.register(tracing)
        order, payment = tracing.tracer("order"), tracing.tracer("payment")
        outer = order.start("charge", SpanKind.CLIENT, attributes={"text": "a", "flag": True, "number": 7})
        inner = payment.start("charge", SpanKind.SERVER, outer.traceparent, links=[ELSEWHERE])
        await asyncio.sleep(0.01)
        inner.end("UNAVAILABLE")
        outer.end()
    found = {one.service: one for one in receiver.spans}
    assert found["order"].attributes == {"text": "a", "flag": True, "number": 7}
    assert (found["order"].kind, found["order"].parent_id, found["order"].failed) == ("CLIENT", "", False)
    assert found["payment"].trace_id == found["order"].trace_id == outer.trace_id
    assert found["payment"].parent_id == found["order"].span_id
    assert (found["payment"].kind, found["payment"].failed) == ("SERVER", True)
    assert found["payment"].attributes["error.type"] == "UNAVAILABLE"
    assert found["payment"].links == (ELSEWHERE[36:52],)
    assert 0.009 < found["payment"].seconds <= found["order"].seconds
    assert b'souk_spans_total{outcome="exported"} 2.0' in exposition(registry)


async def test_an_exporter_that_refuses_costs_spans_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    for name, text in given.items():
        monkeypatch.setenv(name, text)
    async with open_tracing(read_tracing(given), CLOCK, {}) as tracing:
        assert tracing is not None
        tracing.tracer("order").start("work", SpanKind.INTERNAL).end()
    (family,) = tracing.collect()
    counts = {sample.labels["outcome"]: sample.value for sample in family.samples}
    assert counts["exported"] == 0
    assert counts["failed"] + counts["dropped"] == 1


async def test_nothing_is_recorded_unless_it_is_asked_for() -> None:
    async with open_tracing(read_tracing({}), CLOCK, {}) as tracing:
        assert tracing is None
