"""Log records through OpenTelemetry's own exporters to a receiver of its protocol; what cannot go is counted."""

import asyncio
import io
import threading
from collections.abc import Iterator, Sequence

import pytest
from prometheus_client import CollectorRegistry

from souk.kernel.clock import SystemClock
from souk.kernel.context import CallContext, use
from souk.kernel.errors import ConfigurationError
from souk.telemetry import logs, traces
from souk.telemetry.batches import BatchLimits
from souk.telemetry.log_export.exporting import LogRecords, exported_logs
from souk.telemetry.log_export.official import LoggedRecord
from souk.telemetry.log_export.settings import LogExportSettings, read_log_export
from souk.testing.otlp_receiver import OtlpReceiver, otlp_receiver

CLOCK = SystemClock()


@pytest.fixture(scope="module")
def receiver() -> Iterator[OtlpReceiver]:
    with otlp_receiver() as receiver:
        yield receiver


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
async def test_records_arrive_with_their_trace_and_nothing_secret(
    protocol: str, receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch, written: io.StringIO
) -> None:
    url = receiver.grpc_url if protocol == "grpc" else f"{receiver.http_url}/v1/logs"
    given = {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": url, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
    for name, text in given.items():  # the exporters read their own
        monkeypatch.setenv(name, text)
    receiver.logs.clear()
    trace = traces.new()
    registry = CollectorRegistry()
    async with exported_logs(read_log_export(given), CLOCK, "order", {"service.instance.id": "here"}) as records:
        registry.register(records)
        with use(CallContext(traceparent=trace.traceparent)):
            logs.logger("saga").warning(
                "refused", order="ORD-1", password="hunter2", tries=3, reason="Bearer abcdefgh1"
            )
        assert logs.write_at_once("request", {"part": "gateway", "status": 200}, CLOCK.now())
        try:
            raise ValueError("why")
        except ValueError:
            logs.logger("saga").exception("failed")
    refused, request, failed = receiver.logs
    assert (refused.service, refused.body, refused.severity) == ("order", "refused", "WARN")
    assert (refused.trace_id, refused.span_id) == (trace.trace_id, trace.span_id)
    assert refused.attributes == {
        "souk.part": "saga",
        "order": "ORD-1",
        "password": "[struck out]",
        "tries": 3,
        "reason": "Bearer [struck out]",
    }
    assert abs(refused.time / 1e3 - CLOCK.now()) < 60e6
    assert (request.body, request.severity, request.trace_id) == ("request", "INFO", "")
    assert failed.severity == "ERROR"
    assert "ValueError: why" in str(failed.attributes["exception.stacktrace"])
    assert registry.get_sample_value("souk_log_records_total", {"outcome": "exported"}) == 3


class HangingExporter:
    """Hangs until it is given up."""

    def __init__(self) -> None:
        self.given_up = threading.Event()

    def export(self, batch: Sequence[LoggedRecord], /) -> bool:
        self.given_up.wait(60)
        return False

    def shutdown(self) -> None:
        self.given_up.set()


def test_an_exporter_that_hangs_costs_nothing_but_records_which_are_counted(written: io.StringIO) -> None:
    records = LogRecords(LogExportSettings(batch=BatchLimits(10, 1, 0.01)), CLOCK, HangingExporter())
    with logs.given_also_to(records.take):
        for number in range(1_000):
            logs.logger("order").info("placed", number=number)
    registry = CollectorRegistry()
    registry.register(records)
    assert written.getvalue().count("\n") >= 1_000
    assert registry.get_sample_value("souk_log_records_total", {"outcome": "dropped"}) >= 980
    records.close(0.05)
    assert "could not be exported" in written.getvalue()


class FailingExporter:
    """Logs each failure, as OpenTelemetry's exporters do."""

    def __init__(self) -> None:
        self.tried = threading.Semaphore(0)

    def export(self, batch: Sequence[LoggedRecord], /) -> bool:
        logs.logger("exporter").error("cannot be sent")
        self.tried.release()
        return False

    def shutdown(self) -> None: ...


async def test_what_an_exporter_logs_of_its_failures_is_not_exported(written: io.StringIO) -> None:
    failing = FailingExporter()
    records = LogRecords(LogExportSettings(batch=BatchLimits(10, 1, 0.01)), CLOCK, failing)
    with logs.given_also_to(records.take):
        logs.logger("order").info("placed")
        assert await asyncio.to_thread(failing.tried.acquire, timeout=60)
        await asyncio.sleep(0.1)  # many times the delay between batches
    records.close(60)
    registry = CollectorRegistry()
    registry.register(records)
    assert registry.get_sample_value("souk_log_records_total", {"outcome": "failed"}) == 1
    assert written.getvalue().count("cannot be sent") == 1


@pytest.mark.parametrize(
    ("given", "exporter"),
    [
        ({}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, ""),
        ({"OTEL_LOGS_EXPORTER": "none", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://127.0.0.1:1"}, ""),
        ({"OTEL_LOGS_EXPORTER": "otlp"}, "otlp/http"),
        ({"OTEL_LOGS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "grpc"}, "otlp/grpc"),
        ({"OTEL_LOGS_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}, ""),
    ],
)
def test_what_switches_it_on(given: dict[str, str], exporter: str) -> None:
    assert read_log_export(given).exporter == exporter


@pytest.mark.parametrize(
    "given", [{"OTEL_LOGS_EXPORTER": "loki"}, {"OTEL_LOGS_EXPORTER": "otlp", "OTEL_BLRP_MAX_QUEUE_SIZE": "0"}]
)
def test_a_wrong_value_is_named(given: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="OTEL_"):
        read_log_export(given)
