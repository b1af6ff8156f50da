"""Where sidecars send their spans, by OpenTelemetry's own variables: where the applications beside them send theirs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from souk.kernel.errors import ConfigurationError
from souk.telemetry.otel_variables import otel_variables, otlp_value
from souk.telemetry.tracing.settings import TRACES, ZIPKIN, read_tracing, receiver_url

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class SpanReceiver:
    """What takes the spans of sidecars: its `protocol`, host and port, and the path for HTTP; `tls` if it wants that.

    `headers` go with each request. `roots` is a file with the certificates that the receiver's is checked by; empty
    means those of the system.
    """

    protocol: str
    host: str
    port: int
    path: str = ""
    tls: bool = False
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    roots: str = ""


def span_receiver(variables: Mapping[str, str]) -> SpanReceiver | None:
    """Reads the variables; None when nothing is exported. Where applications export twice, the first receiver counts.

    Raises ConfigurationError, in one line.
    """
    protocols = read_tracing(variables).exporters
    if not protocols:
        return None
    protocol, given = protocols[0], otel_variables(variables)
    url = receiver_url(given, protocol)
    parts = urlsplit(url)
    try:
        port = parts.port or _PORTS[parts.scheme]
    except (KeyError, ValueError):
        raise ConfigurationError(f"spans cannot be sent to {url!r}: it must read http://HOST:PORT") from None
    if not parts.hostname:
        raise ConfigurationError(f"spans cannot be sent to {url!r}: it names no host")
    headers = () if protocol == ZIPKIN else _headers(otlp_value(given, TRACES, "HEADERS"))
    roots = "" if protocol == ZIPKIN else otlp_value(given, TRACES, "CERTIFICATE")
    return SpanReceiver(
        protocol, parts.hostname, port, parts.path or "/", tls=parts.scheme == "https", headers=headers, roots=roots
    )


def _headers(text: str) -> tuple[tuple[str, str], ...]:
    """Reads NAME=VALUE,... with percent-encoded values, as OpenTelemetry specifies; what is malformed is left out."""
    pairs = (one.partition("=") for one in text.split(","))
    return tuple((name.strip().lower(), unquote(value.strip())) for name, equals, value in pairs if equals)
