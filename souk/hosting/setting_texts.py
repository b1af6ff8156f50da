"""What each setting of the platform means: for `--help`, `souk settings` and docs/settings.md, which show the same."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from souk.hosting.service import Service, Setting
from souk.hosting.settings import LOOPBACK, PREFIX, Settings

_URL, _SECONDS, _PATH, _NAME = "URL", "seconds", "path", "name"

ABOUT: Mapping[str, tuple[str, str, str]] = {
    "data": ("The data directory: databases, keys, logs and sockets of the system.", _PATH, ""),
    "postgres": (
        "PostgreSQL in place of SQLite files: the URL of each service's database, with {service} for the service's "
        "name, or, for a fleet, its administrator's URL; @FILE reads it from a file.",
        _URL,
        "SQLite files; a fleet starts a PostgreSQL of its own",
    ),
    "postgres_pool": ("The most connections of one process to its database.", "connections", ""),
    "postgres_user": (
        "Who the fleet's own PostgreSQL runs as when root starts it: a user that nothing else runs as.",
        _NAME,
        "souk-postgres, made if need be",
    ),
    "redis": (
        "A Redis or Valkey for what can be lost, such as caches; @FILE reads its URL from a file.",
        _URL,
        "none; a fleet starts a Valkey of its own",
    ),
    "host": (
        "The address that the gateway listens on; a service listens at a socket unless this, or SOUK_PORT, asks "
        "for TCP.",
        "address",
        f"{LOOPBACK}; 0.0.0.0 is every interface",
    ),
    "port": ("The port that the gateway listens on; 0 for any free one.", "port", ""),
    "listen_fd": (
        "A socket that listens already, inherited from whoever started the process.",
        "file descriptor",
        "a socket is opened",
    ),
    "trusted_proxies": (
        "Networks, such as 10.0.0.0/8,2001:db8::/32, from which X-Forwarded-For is believed.",
        "networks",
        "nobody is believed",
    ),
    "demo": ("Loads demo data, whose passwords are public, and listens on loopback only.", "true or false", ""),
    "app": ("Which installed app to serve.", _NAME, "the only one that is installed"),
    "topology": ("One process for everything, or a fleet with a process a service.", "monolith or fleet", ""),
    "scale": ("How many processes a service of a fleet has, as in order=3,inventory=2.", "counts", "one each"),
    "commands": (
        "How processes of a fleet are started whose service is not the one that is installed, such as one in "
        "another language.",
        "commands",
        "souk serve",
    ),
    "log_level": ("The least that is logged.", "debug, info, warning or error", ""),
    "log_file": ("A file that takes the log.", _PATH, "standard error"),
    "log_mb": ("The size at which a log file of Souk's, or of a fleet's process, is turned over.", "megabytes", ""),
    "log_kept": ("How many log files that were turned over are kept.", "files", ""),
    "registry": (
        "Where instances register and are found: docs/registries.md.",
        _URL,
        "a fleet has one of its own; otherwise SOUK_ADDRESSES says",
    ),
    "addresses": (
        "Where services of other processes listen, as in order=10.0.0.7:9101+10.0.0.8:9101 or "
        "order=unix:/path/of/a/socket, without a registry.",
        "addresses",
        "none",
    ),
    "instance": ("What this process is called in the registry.", _NAME, "made of its service and its address"),
    "zone": ("Where this process runs; calls go to the same zone first.", _NAME, "none"),
    "version": ("What version this process says it is.", _NAME, "none"),
    "weight": ("How many calls this process takes beside others, 1 to 1,000.", "share", ""),
    "hop": ("The protocol that this process prefers to be called by.", "connect or grpc", ""),
    "tls_cert": (
        "The certificate that a service at a TCP port, and whoever calls one, shows (mutual TLS), with its chain, as "
        "PEM; that of a service names it as a DNS name. Read again when it changes.",
        _PATH,
        "none: no TLS",
    ),
    "tls_key": ("The key of SOUK_TLS_CERT, as PEM.", _PATH, "none"),
    "tls_ca": ("Who signs the certificates that are believed, as PEM.", _PATH, "none"),
    "plain_tcp": (
        "Lets a service listen on other addresses than loopback without TLS, where the network is to be trusted.",
        "true or false",
        "",
    ),
    "control": ("A private socket on which the process is asked how it is.", _PATH, "none; a fleet sets it"),
    "metrics_port": (
        "A port of loopback with /metrics, /healthz and /readyz of this process; 0 for any free one.",
        "port",
        "none",
    ),
    "resilience": (
        "A file that tunes breakers, retries, bulkheads and balancers: souk/hosting/resilience.py.",
        _PATH,
        "the defaults there",
    ),
    "subscriptions": (
        "Who listens to a service's events where the listeners are not installed, as in "
        "notification/mails=shop.order.v1.OrderConfirmed+shop.order.v1.OrderRejected.",
        "types by service/consumer",
        "what is installed says",
    ),
    "faults": ("Named points at which the process dies, as in point=1: for tests only.", "counts", "none"),
    "secret": (
        "Signs the callers that services tell each other; the same in every process of one system.",
        "at least 32 characters",
        "made once, and kept in the data directory",
    ),
    "drain": ("How long running requests may take to finish when the process is asked to stop.", _SECONDS, ""),
    "start_limit": (
        "How long a process of a fleet may take to start, however well it gets on; engines may take longer.",
        _SECONDS,
        "",
    ),
    "http_connections": ("The most connections of clients to an HTTP port at once.", "connections", ""),
    "http_connections_per_address": (
        "The most connections from one address, or one /64 network of IPv6; raise it behind a proxy.",
        "connections",
        "",
    ),
    "http_first_octet_timeout": ("How long a new connection may stay silent.", _SECONDS, ""),
    "http_head_timeout": ("How long the head of a request may take.", _SECONDS, ""),
    "http_body_timeout": (
        "How long a body may take, besides a second for every SOUK_HTTP_SLOWEST octets of it.",
        _SECONDS,
        "",
    ),
    "http_write_timeout": (
        "How long a client may take for its answer, besides a second for every SOUK_HTTP_SLOWEST octets of it.",
        _SECONDS,
        "",
    ),
    "http_idle_timeout": ("How long a connection is kept between two requests.", _SECONDS, ""),
    "http_slowest": ("How slow a body or an answer may get on before it is cut off.", "octets a second", ""),
}
"""By name: the meaning, the unit, and what holds where the default is nothing."""


def platform_settings() -> Iterator[Setting]:
    """The platform's own, in the order in which they are defined."""
    defaults = Settings()
    for name, (meaning, unit, unset) in ABOUT.items():
        yield Setting(name, meaning, _shown(getattr(defaults, name)) or unset, unit)


def help_of(name: str) -> str:
    """The text of a flag that sets this setting."""
    found = next(setting for setting in platform_settings() if setting.name == name)
    return f"{found.meaning} [default: {found.default}]"


def variables(services: Iterable[Service]) -> Iterator[tuple[str, str, Setting]]:
    """Every variable, the service that it belongs to ("" for the platform), and what it sets."""
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
