"""The traces and the logs of one order through OpenTelemetry's own Collector, as it writes them down."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from souk.testing.servers.otelcol import CollectedRecord, OtelCollectorServer
from souk.testing.system import MODES, until
from tests.engines.test_traces import CONFIRMED, ORDERED, ORDERS, PATIENCE, placed

pytestmark = pytest.mark.engines

KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
REQUEST = f"gateway SERVER {ORDERS}"
WANTED = {
    REQUEST,
    ORDERED,
    "payment SERVER shop.payment.v1.PaymentService/Charge",
    f"order PRODUCER create {CONFIRMED}",
    f"notification CONSUMER process {CONFIRMED}",
}


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtelCollectorServer]:
    with OtelCollectorServer(tmp_path_factory.mktemp("otelcol")) as server:
        yield server


def shown(span: CollectedRecord) -> str:
    return f"{span.resource['service.name']} {KINDS[int(span.fields['kind'])]} {span.fields['name']}"


@pytest.mark.parametrize(("mode", "protocol"), [("embedded", "http/protobuf"), ("fleet", "grpc")])
async def test_an_order_arrives_with_its_trace_and_its_logs(
    mode: str, protocol: str, collector: OtelCollectorServer, tmp_path: Path
) -> None:
    await collector.start()
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.otlp_grpc if protocol == "grpc" else collector.otlp_http,
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_RESOURCE_ATTRIBUTES": f"deployment.environment.name={mode}",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_BLRP_SCHEDULE_DELAY": "200",
    }
    with MODES[mode](tmp_path, settings=settings) as system:
        trace_id = placed(system)
        spans = awaited(lambda: of_trace(collector.spans, trace_id), lambda found: {*map(shown, found)} >= WANTED)
        lines = awaited(lambda: of_trace(collector.logs, trace_id), lambda found: any(map(is_of_request, found)))
        (line,) = filter(is_of_request, lines)
    request = next(one for one in spans if shown(one) == REQUEST)
    assert (line.fields["severityText"], line.attributes["souk.part"]) == ("INFO", "gateway")
    assert line.fields["spanId"] == request.fields["spanId"]
    assert line.resource["service.instance.id"] == request.resource["service.instance.id"] != ""
    assert {one.resource["deployment.environment.name"] for one in (line, *spans)} == {mode}
    processes = {one.resource["service.instance.id"] for one in spans if shown(one) in WANTED}
    assert len(processes) == (4 if mode == "fleet" else 1)


def is_of_request(line: CollectedRecord) -> bool:
    return bool(line.fields["body"] == {"stringValue": "request"})


def of_trace(records: list[CollectedRecord], trace_id: str) -> list[CollectedRecord]:
    return [one for one in records if one.fields.get("traceId") == trace_id]


def awaited(
    read: Callable[[], list[CollectedRecord]], enough: Callable[[list[CollectedRecord]], object]
) -> list[CollectedRecord]:
    until(lambda: enough(read()), PATIENCE, "all is there")
    return read()
