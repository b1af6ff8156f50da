"""The meaning of each setting of the platform, as `--help`, `souk settings` and docs/settings.md show it."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from souk.kernel.addresses import LOOPBACK
from souk.runtime.config.settings import Settings
from souk.runtime.config.variables import BY_NAME, PREFIX
from souk.runtime.service import Service, Setting

_URL, _SECONDS, _PATH, _NAME, _ADDRESS = "URL", "seconds", "path", "name", "host:port or unix:/path"

ABOUT: Mapping[str, tuple[str, str, str]] = {
    "data": ("The data directory: databases, keys, logs and sockets of the system.", _PATH, ""),
    "postgres": (
        "PostgreSQL in place of SQLite files: the URL of each service's database, with {service} for the service's "
        "name, or, for a fleet, its administrator's URL; @FILE reads it from a file.",
        _URL,
        "SQLite files; a fleet starts a PostgreSQL of its own",
    ),
    "postgres_pool": ("The maximum number of connections from one process to its database.", "connections", ""),
    "postgres_prepared_transactions": (
        "How many prepared transactions the fleet's own PostgreSQL takes at once. Two-phase commit "
        "(SOUK_ORDER_COORDINATOR) needs them.",
        "transactions",
        "none",
    ),
    "postgres_user": (
        "The user that runs the fleet's own PostgreSQL when root starts it; nothing else should run as this user.",
        _NAME,
        "souk-postgres, created if it does not exist",
    ),
    "redis": (
        "A Redis or Valkey for data that may be lost, such as caches; @FILE reads its URL from a file.",
        _URL,
        "none; a fleet starts a Valkey of its own",
    ),
    "broker": (
        "The broker that events between services go through, or none: a service calls those that listen to its events; "
        "@FILE reads its URL from a file.",
        "URL or none",
        "none; a fleet starts a Valkey of its own",
    ),
    "search": (
        "The search engine, OpenSearch or Elasticsearch; @FILE reads its URL from a file.",
        _URL,
        "none: the database searches",
    ),
    "host": (
        "The address that the gateway listens on; a service listens on a socket unless this, or SOUK_PORT, is set.",
        "address",
        f"{LOOPBACK}; 0.0.0.0 is every interface",
    ),
    "port": ("The port that the gateway listens on; 0 for any free one.", "port", ""),
    "listen_fd": (
        "A listening socket inherited from the parent process.",
        "file descriptor",
        "none: a new socket is opened",
    ),
    "routes": ("A file of routes beside those of contracts, to any HTTP server: docs/routes.md.", _PATH, "none"),
    "issuers": (
        "A file with other issuers whose access tokens the gateway believes (OpenID Connect Discovery): "
        "souk/runtime/config/issuers.py.",
        _PATH,
        "none",
    ),
    "http_cert": (
        "The certificate of the gateway, with its chain, as PEM: it then speaks TLS alone, HTTP/2 included.",
        _PATH,
        "none: no TLS",
    ),
    "http_client_ca": (
        "Authorities, as PEM, that sign certificates of clients: the gateway asks for one (mutual TLS): docs/edges.md.",
        _PATH,
        "none: clients are not asked",
    ),
    "http_client_cert": ("Whether clients need a certificate of SOUK_HTTP_CLIENT_CA.", "optional or required", ""),
    "http_client_callers": (
        "A file that says which callers the certificates of clients stand for, with their scopes: docs/edges.md.",
        _PATH,
        "none: certificates stand for nobody",
    ),
    "cors_origins": (
        "Origins whose pages may call the gateway and read its answers (CORS), as in https://shop.example.com, "
        "https://*.example.com or *: docs/edges.md.",
        "origins",
        "none: pages of the gateway's own origin",
    ),
    "read_cache": (
        "How long the gateway answers what everybody may read from its memory: docs/edges.md.",
        _SECONDS,
        "no cache",
    ),
    "read_cache_mb": ("How many MiB of answers each gateway keeps for SOUK_READ_CACHE.", "MiB", ""),
    "http_key": ("The private key of SOUK_HTTP_CERT, as PEM.", _PATH, "none"),
    "trusted_proxies": (
        "Networks, such as 10.0.0.0/8,2001:db8::/32, whose X-Forwarded-For header is trusted.",
        "networks",
        "none",
    ),
    "limits": (
        "What rate limits do: enforce refuses requests beyond them, report only counts these, off counts nothing.",
        "enforce, report or off",
        "enforce; report with demo data",
    ),
    "limit_policies": (
        "A TOML file that changes the rate limits: docs/limits.md.",
        _PATH,
        "the limits of docs/limits.md",
    ),
    "running_requests": (
        "How many requests may run at once at a gateway, at most; fewer while its event loop is late.",
        "requests",
        "",
    ),
    "demo": ("Loads demo data, whose passwords are public, and listens on loopback only.", "true or false", ""),
    "app": ("The installed app to serve.", _NAME, "the only one that is installed"),
    "topology": ("One process for everything, or a fleet with a process for each service.", "monolith or fleet", ""),
    "scale": ("How many processes a service of a fleet has, as in order=3,inventory=2.", "counts", "one each"),
    "commands": (
        "The commands that start services of a fleet which are not installed here, such as one in another language.",
        "commands",
        "souk serve",
    ),
    "mesh_outside": (
        "Services of a mesh that are not put into network namespaces, since they call systems outside: docs/mesh.md.",
        "service,service",
        "those that declare it",
    ),
    "mesh": (
        "Whether each process of a fleet calls the others through an Envoy beside it: docs/mesh.md.",
        "true or false",
        "",
    ),
    "trace_tail": (
        "Keeps unsampled traces in which something failed, was slow, was retried or undone: docs/tracing.md.",
        "true or false",
        "",
    ),
    "trace_tail_rate": (
        "So many spans a second SOUK_TRACE_TAIL looks at in each process; of more it leaves out whole traces.",
        "spans a second",
        "",
    ),
    "trace_slow": ("From how long a span is slow, for SOUK_TRACE_TAIL.", _SECONDS, ""),
    "console": (
        "Whether the gateway serves the console, and processes keep their newest spans for it: docs/console.md.",
        "true or false",
        "",
    ),
    "console_max_mb": ("The size of what the console keeps.", "megabytes", ""),
    "console_keep_hours": ("How long the console keeps traces and figures.", "hours", ""),
    "console_traces": (
        "New traces a second that are recorded for the console, where no OTEL_* says which; after a rest 20 times.",
        "traces a second",
        "",
    ),
    "log_level": ("The lowest level that is logged.", "debug, info, warning or error", ""),
    "log_file": ("The file that the log is written to.", _PATH, "standard error"),
    "log_mb": ("The size at which a log file is rotated.", "megabytes", ""),
    "log_kept": ("How many rotated log files are kept.", "files", ""),
    "registry": (
        "Where instances register and are found: docs/registries.md.",
        _URL,
        "a fleet has its own; otherwise SOUK_ADDRESSES is used",
    ),
    "addresses": (
        "Where services in other processes listen, as in order=10.0.0.7:9101+10.0.0.8:9101 or "
        "order=unix:/path/of/a/socket, without a registry.",
        "addresses",
        "none",
    ),
    "instance": ("The name of this process in the registry.", _NAME, "its service and a random number"),
    "zone": ("Where this process runs; calls go to the same zone first.", _NAME, "none"),
    "version": ("The version that this process registers with.", _NAME, "none"),
    "weight": ("The share of calls that this process takes compared with others, 1 to 1,000.", "share", ""),
    "sidecar": ("The address of the proxy through which this process calls others: docs/mesh.md.", _ADDRESS, "none"),
    "advertise": (
        "Where others reach this process, if not where it listens: at its sidecar.",
        _ADDRESS,
        "where it listens",
    ),
    "hop": ("The protocol by which this process calls others, where they speak it.", "connect or grpc", ""),
    "tls_cert": (
        "The certificate of a service on a TCP port, or of its caller (mutual TLS), with its chain, as PEM. It must "
        "contain the service's name as a DNS name. Read again when it changes.",
        _PATH,
        "none: no TLS",
    ),
    "tls_key": ("The private key of SOUK_TLS_CERT, as PEM.", _PATH, "none"),
    "tls_ca": ("The certificate authorities that are trusted, as PEM.", _PATH, "none"),
    "plain_tcp": (
        "Lets a service listen beyond loopback without TLS, on a network that you trust.",
        "true or false",
        "",
    ),
    "control": ("A private socket that reports the state of the process.", _PATH, "none; a fleet sets it"),
    "metrics_port": (
        "A port with /metrics, /healthz and /readyz of this process; 0 for any free one.",
        "port",
        "none",
    ),
    "metrics_host": (
        "The address of SOUK_METRICS_PORT. Beyond loopback, such as 0.0.0.0 in a container, the network must keep "
        "strangers away: what it shows is not for everybody.",
        "address",
        "",
    ),
    "resilience": (
        "A file that tunes breakers, retries, bulkheads and balancers: souk/runtime/config/resilience.py.",
        _PATH,
        "the defaults there",
    ),
    "mesh_policy": (
        "The mesh's policy file, which `souk mesh` reads: docs/mesh.md.",
        _PATH,
        "contracts/mesh.yaml, if it is there",
    ),
    "mesh_certificate_life": (
        "How long the certificate of a process of a mesh is valid; it is renewed at half of that: docs/mesh.md.",
        _SECONDS,
        "",
    ),
    "subscriptions": (
        "The consumers of a service's events that are not installed here, as in "
        "notification/mails=shop.order.v1.OrderConfirmed+shop.order.v1.OrderRejected.",
        "types by service/consumer",
        "the installed services",
    ),
    "faults": ("Named points at which the process dies, as in point=1: for tests only.", "counts", "none"),
    "secret": (
        "The secret that signs calls between services; the same in every process of one system.",
        "at least 32 characters",
        "generated once, and kept in the data directory",
    ),
    "drain": ("How long running requests may take to finish when the process stops.", _SECONDS, ""),
    "start_limit": (
        "How long a process of a fleet may take to start; PostgreSQL and Valkey may take longer.",
        _SECONDS,
        "",
    ),
    "http_connections": ("The maximum number of client connections to an HTTP port.", "connections", ""),
    "http_connections_per_address": (
        "The maximum number of connections from one address, or one /64 network of IPv6; raise it behind a proxy.",
        "connections",
        "",
    ),
    "http_first_octet_timeout": ("How long a new connection may stay silent.", _SECONDS, ""),
    "http_head_timeout": ("How long a client may take to send the headers of a request.", _SECONDS, ""),
    "http_body_timeout": (
        "How long a client may take to send a body, plus a second for every SOUK_HTTP_SLOWEST bytes of it.",
        _SECONDS,
        "",
    ),
    "http_write_timeout": (
        "How long a client may take to read a response, plus a second for every SOUK_HTTP_SLOWEST bytes of it.",
        _SECONDS,
        "",
    ),
    "http_idle_timeout": ("How long an idle connection is kept open between requests.", _SECONDS, ""),
    "http_slowest": ("The slowest rate at which a body may be sent or a response read.", "bytes per second", ""),
}
"""By name: the meaning, the unit, and what an empty default means."""


def platform_settings() -> Iterator[Setting]:
    """Gives the platform's settings, in the order in which they are defined."""
    defaults = Settings()
    for name, (meaning, unit, unset) in ABOUT.items():
        yield Setting(name, meaning, _shown(BY_NAME[name].value_in(defaults)) or unset, unit)


def help_of(name: str) -> str:
    """Gives the help text of the flag that sets this setting."""
    found = next(setting for setting in platform_settings() if setting.name == name)
    return f"{found.meaning} [default: {found.default}]"


def variables(services: Iterable[Service]) -> Iterator[tuple[str, str, Setting]]:
    """Gives every variable, the service that it belongs to ("" for the platform), and its setting."""
    for setting in platform_settings():
        yield f"{PREFIX}{setting.name}".upper(), "", setting
    for service in services:
        for setting in service.settings:
            yield f"{PREFIX}{service.name}_{setting.name}".upper(), service.name, setting


def _shown(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return f"{value:g}"
        case str() | Path():
            return str(value)
    return ""
