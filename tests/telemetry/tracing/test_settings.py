"""OpenTelemetry's variables: what they switch on, and what is refused."""

import sys

import pytest

from souk.kernel.clock import SystemClock
from souk.kernel.errors import ConfigurationError
from souk.telemetry.otel_variables import OTLP_GRPC, OTLP_HTTP
from souk.telemetry.tracing.batch import BatchLimits
from souk.telemetry.tracing.exporters import OfficialExporter
from souk.telemetry.tracing.settings import ZIPKIN, read_tracing

OTLP = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("variables", "exporters"),
    [
        ({}, ()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, ()),
        ({"OTEL_TRACES_SAMPLER": "always_on"}, ()),
        (OTLP, (OTLP_HTTP,)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, (OTLP_HTTP,)),
        ({**OTLP, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, (OTLP_GRPC,)),
        (
            {**OTLP, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"},
            (OTLP_HTTP,),
        ),
        ({"OTEL_EXPORTER_ZIPKIN_ENDPOINT": "http://127.0.0.1:9411/api/v2/spans"}, (ZIPKIN,)),
        ({"OTEL_TRACES_EXPORTER": "otlp, zipkin"}, (OTLP_HTTP, ZIPKIN)),
        ({**OTLP, "OTEL_TRACES_EXPORTER": "none"}, ()),
        ({**OTLP, "OTEL_SDK_DISABLED": "true"}, ()),
        ({**OTLP, "OTEL_SDK_DISABLED": "false"}, (OTLP_HTTP,)),
    ],
)
def test_what_is_exported(variables: dict[str, str], exporters: tuple[str, ...]) -> None:
    assert read_tracing(variables).exporters == exporters


def test_the_limits_of_batches() -> None:
    settings = read_tracing(
        {
            **OTLP,
            "OTEL_BSP_MAX_QUEUE_SIZE": "100",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "500",
            "OTEL_BSP_SCHEDULE_DELAY": "250",
        }
    )
    assert settings.batch == BatchLimits(queue=100, batch=100, delay=0.25)


def test_the_service_can_be_named() -> None:
    assert read_tracing({**OTLP, "OTEL_SERVICE_NAME": "checkout"}).service == "checkout"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("OTEL_TRACES_EXPORTER", "jaeger", "'jaeger' must be otlp, zipkin or none"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "must be grpc or http/protobuf"),
        ("OTEL_TRACES_SAMPLER", "parentbased_always_om", "the nearest is 'parentbased_always_on'"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "must be a whole number"),
        ("OTEL_BSP_SCHEDULE_DELAY", "soon", "must be a whole number"),
    ],
)
def test_what_is_wrong_is_refused_in_one_line(name: str, text: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_tracing({**OTLP, name: text})
    assert name in str(refused.value)
    assert says in str(refused.value)


def test_without_the_packages_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'souk-platform\[otel\]'"):
        OfficialExporter(OTLP_HTTP, SystemClock(), {})
