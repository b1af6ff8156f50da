"""OpenTelemetry's own variables (its specification, "Environment Variable Specification").

The exporters read those of their own by themselves: endpoints, headers, time-outs, certificates, compression.
"""

from collections.abc import Mapping

from souk.kernel.errors import ConfigurationError

OTLP_GRPC, OTLP_HTTP = "otlp/grpc", "otlp/http"
_PROTOCOLS = {"grpc": OTLP_GRPC, "http/protobuf": OTLP_HTTP}


def otel_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Returns OpenTelemetry's variables that are set; those that are empty count as not set."""
    return {name: text.strip() for name, text in variables.items() if name.startswith("OTEL_") and text.strip()}


def is_disabled(given: Mapping[str, str]) -> bool:
    """Whether OTEL_SDK_DISABLED switches everything off."""
    return given.get("OTEL_SDK_DISABLED", "").lower() == "true"


def otlp_exporter(given: Mapping[str, str], signal: str) -> str:
    """Returns OTLP_GRPC or OTLP_HTTP, as the protocol of a signal (TRACES, LOGS) says. Raises ConfigurationError."""
    for variable in (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if variable in given:
            if given[variable] not in _PROTOCOLS:
                raise ConfigurationError(f"{variable}: {given[variable]!r} must be grpc or http/protobuf")
            return _PROTOCOLS[given[variable]]
    return OTLP_HTTP


def otlp_url(given: Mapping[str, str], signal: str, protocol: str) -> str:
    """Returns where OTLP_GRPC or OTLP_HTTP sends a signal (TRACES, LOGS)."""
    own, common = given.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"), given.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if protocol == OTLP_HTTP:
        return own or f"{(common or 'http://localhost:4318').rstrip('/')}/v1/{signal.lower()}"
    url = own or common or "http://localhost:4317"
    if "://" in url:
        return url
    return f"{'http' if otlp_value(given, signal, 'INSECURE').lower() == 'true' else 'https'}://{url}"


def otlp_value(given: Mapping[str, str], signal: str, name: str) -> str:
    """Returns a variable of OTLP's exporters: that of a signal, or that of all signals, or ""."""
    return given.get(f"OTEL_EXPORTER_OTLP_{signal}_{name}", given.get(f"OTEL_EXPORTER_OTLP_{name}", ""))


def whole_number(given: Mapping[str, str], name: str, default: int) -> int:
    """Reads a number of things. Raises ConfigurationError."""
    text = given.get(name, str(default))
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 1_000_000:
        raise ConfigurationError(f"{name}: {text!r} must be a whole number from 1 to 1,000,000")
    return int(text)
