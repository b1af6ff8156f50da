"""Which environment variable sets what, and how its text is read.

The name of a variable does not follow the nesting of the settings: it is kept when a setting moves to another slice.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

from souk.gateway.limits.limiter import LimitMode
from souk.runtime.config import parsers as values
from souk.runtime.config.settings import CLIENT_CERTS, HOPS, TOPOLOGIES, Settings
from souk.telemetry.logs import LEVELS

PREFIX = "SOUK_"


@dataclass(frozen=True, slots=True)
class Variable:
    """The setting of a variable, as the `path` of fields that leads to it, and the parser of its text.

    The value of a `hidden` one may hold a password, and is not shown.
    """

    path: str
    parse: Callable[[str], Any]
    hidden: bool = False

    def value_in(self, settings: Settings) -> Any:
        """Gives the value of the setting."""
        return reduce(getattr, self.path.split("."), settings)


BY_NAME: Mapping[str, Variable] = {
    "data": Variable("data.directory", Path),
    "postgres": Variable("data.postgres", values.from_file(values.postgres), hidden=True),
    "postgres_pool": Variable("data.postgres_pool", values.from_one(1_000)),
    "postgres_prepared_transactions": Variable("data.postgres_prepared", values.from_one(10_000)),
    "postgres_user": Variable("data.postgres_user", values.name),
    "redis": Variable("data.redis", values.from_file(values.redis), hidden=True),
    "broker": Variable("events.broker", values.from_file(values.broker), hidden=True),
    "search": Variable("data.search", values.from_file(values.search), hidden=True),
    "host": Variable("listen.host", str),
    "port": Variable("listen.port", values.port_number),
    "listen_fd": Variable("listen.descriptor", values.descriptor),
    "routes": Variable("http.routes", Path),
    "trusted_proxies": Variable("http.trusted_proxies", values.networks),
    "limits": Variable("limits.mode", values.one_of(*LimitMode)),
    "limit_policies": Variable("limits.policies", Path),
    "running_requests": Variable("limits.running", values.from_one(100_000)),
    "issuers": Variable("http.issuers", Path),
    "http_cert": Variable("http.cert", Path),
    "http_key": Variable("http.key", Path),
    "http_client_ca": Variable("http.client_ca", Path),
    "http_client_cert": Variable("http.client_cert", values.one_of(*CLIENT_CERTS)),
    "http_client_callers": Variable("http.client_callers", Path),
    "cors_origins": Variable("http.cors_origins", values.origins),
    "read_cache": Variable("http.read_cache", values.seconds),
    "read_cache_mb": Variable("http.read_cache_mb", values.from_one(100_000)),
    "demo": Variable("demo", values.flag),
    "app": Variable("app", str),
    "topology": Variable("topology", values.one_of(*TOPOLOGIES)),
    "scale": Variable("fleet.scale", values.counts),
    "commands": Variable("fleet.commands", values.commands),
    "mesh": Variable("fleet.mesh", values.flag),
    "mesh_outside": Variable("fleet.outside", values.names),
    "trace_tail": Variable("tracing.tail", values.flag),
    "trace_tail_rate": Variable("tracing.tail_rate", values.from_one(1_000_000)),
    "trace_slow": Variable("tracing.slow", values.positive_seconds),
    "console": Variable("console.on", values.flag),
    "console_max_mb": Variable("console.megabytes", values.from_one(100_000)),
    "console_keep_hours": Variable("console.hours", values.from_one(10_000)),
    "console_traces": Variable("console.traces", values.from_one(10_000)),
    "log_level": Variable("log.level", values.one_of(*LEVELS)),
    "log_file": Variable("log.file", Path),
    "log_mb": Variable("log.limits.megabytes", values.from_one(100_000)),
    "log_kept": Variable("log.limits.kept", values.from_one(1_000)),
    "registry": Variable("calls.discovery.registry", values.registry, hidden=True),
    "addresses": Variable("calls.discovery.addresses", values.addresses),
    "instance": Variable("calls.discovery.instance", values.name),
    "zone": Variable("calls.discovery.zone", values.name),
    "version": Variable("calls.discovery.version", values.name),
    "weight": Variable("calls.discovery.weight", values.from_one(1_000)),
    "sidecar": Variable("calls.discovery.sidecar", values.address),
    "advertise": Variable("calls.discovery.advertise", values.address),
    "hop": Variable("calls.hop", values.one_of(*HOPS)),
    "tls_cert": Variable("calls.tls.cert", Path),
    "tls_key": Variable("calls.tls.key", Path),
    "tls_ca": Variable("calls.tls.ca", Path),
    "plain_tcp": Variable("calls.tls.plain_tcp", values.flag),
    "control": Variable("process.control", Path),
    "metrics_port": Variable("process.metrics_port", values.port_number),
    "metrics_host": Variable("process.metrics_host", str),
    "resilience": Variable("calls.resilience", Path),
    "mesh_policy": Variable("calls.mesh_policy", Path),
    "mesh_certificate_life": Variable("calls.mesh_certificate_life", values.positive_seconds),
    "subscriptions": Variable("calls.discovery.subscriptions", values.subscriptions),
    "faults": Variable("process.faults", values.counts),
    "secret": Variable("calls.secret", values.secret, hidden=True),
    "drain": Variable("process.drain", values.seconds),
    "start_limit": Variable("fleet.start_limit", values.positive_seconds),
    "http_connections": Variable("http.limits.connections", values.from_one(999_999)),
    "http_connections_per_address": Variable("http.limits.per_address", values.from_one(999_999)),
    "http_first_octet_timeout": Variable("http.limits.first_octet", values.positive_seconds),
    "http_head_timeout": Variable("http.limits.head", values.positive_seconds),
    "http_body_timeout": Variable("http.limits.body", values.positive_seconds),
    "http_write_timeout": Variable("http.limits.write", values.positive_seconds),
    "http_idle_timeout": Variable("http.limits.idle", values.positive_seconds),
    "http_slowest": Variable("http.limits.slowest", values.from_one(999_999)),
}
"""The platform's own variables by their names, in lower case and without PREFIX; flags have the same names."""

VARIABLES = tuple(PREFIX + name.upper() for name in BY_NAME)
"""The platform's own variables; services have more."""


def with_values(settings: Settings, found: Mapping[str, Any]) -> Settings:
    """Gives these settings with other values, by the names of their variables."""
    for name, value in found.items():
        settings = _with(settings, BY_NAME[name].path.split("."), value)
    return settings


def _with(slice_: Any, path: Iterable[str], value: Any) -> Any:
    name, *rest = path
    return replace(slice_, **{name: _with(getattr(slice_, name), rest, value) if rest else value})
