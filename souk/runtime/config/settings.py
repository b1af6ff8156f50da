"""Settings: the only place that reads the environment.

All settings are one frozen value, made once from the variables `SOUK_*` and from flags of the command line,
which win. A service's own settings are named by its `Service.settings`, and their variables are
`SOUK_<SERVICE>_<SETTING>`. An unknown variable `SOUK_*` is an error: a wrong name would otherwise be a
setting that silently does nothing.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from souk.kernel.addresses import LOOPBACK, ON_LOOPBACK
from souk.kernel.errors import ConfigurationError
from souk.kernel.suggest import nearest
from souk.rpc.tls import Certificates
from souk.runtime.config import parsers as values
from souk.runtime.config.entry_points import loadable_services
from souk.runtime.process.http.limits import HttpLimits
from souk.runtime.service import Service
from souk.telemetry.logs import LEVELS
from souk.telemetry.turning_file import LogLimits

PREFIX = "SOUK_"
TOPOLOGIES = ("monolith", "fleet")
HOPS = ("connect", "grpc")
SERVICE_PLACEHOLDER = "{service}"
"""Stands for a service's name in the URL of its database."""
_HIDDEN = ("secret", "postgres", "redis", "registry")

_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings, with their defaults.

    Data: `postgres` is the URL of each service's database, with SERVICE_PLACEHOLDER for the service's name, or of
    the one database of a process that is one service; without it each service has a SQLite file in `data`.
    `postgres_pool` is the maximum number of connections from one process to its database. `postgres_user` is the
    user that runs the fleet's own PostgreSQL when root starts it; nothing else should run as this user. None means
    `souk-postgres`, created if it does not exist. `redis` is a server for data that may be lost.

    The gateway, or a service: `host` and `port` are where it listens; `host` None means loopback alone, 0.0.0.0
    every interface. `listen_fd` is a listening socket that is inherited from the parent process. `trusted_proxies`
    are networks, such as 10.0.0.0/8,2001:db8::/32: when a proxy in one of them connects, the gateway takes the
    client's address from X-Forwarded-For. From any other peer the header is ignored; by default no proxy is trusted.

    Discovery: `registry` says where instances register and are found; without it `addresses` says where
    services of other processes listen, by name. `instance` is this process's id in the registry; `zone`, `version`
    and `weight` are what it registers with. `hop` is the protocol by which it calls other services.
    `subscriptions` are the types of events for consumers that are not installed here, by "service/consumer".

    Between machines: `tls_cert`, `tls_key` and `tls_ca` are PEM files, all three or none, by which services that
    listen at a TCP port, and their callers, prove who they are to each other (mutual TLS). The certificate
    of a service has its name as a DNS name. The files are read again when they change. Without them a service
    listens at no address but loopback, unless `plain_tcp` says that the network is to be trusted.

    A fleet: `scale` is how many processes each service has, `commands` are the commands that start services which
    are not installed here, such as one in another language. A process that is not ready after `start_limit` seconds
    is started anew, even if it makes progress.

    Operating: `log_file` is the file that the log is written to instead of standard error. Each log file of Souk's,
    also those of a fleet's processes, is rotated at `log_mb` megabytes, by default 10, and `log_kept` old ones are
    kept, by default 5.

    `control` is the path of a private socket that reports the state of the process; `metrics_port` is a port of
    loopback with its metrics over HTTP. `resilience` is a file that changes the defaults of breakers, retries,
    bulkheads and balancers. `faults` arms named points at which the process dies (development only). `secret` signs
    the caller tokens of calls between services; None means the one that is kept in the data directory. `drain` is
    how many seconds running requests get when the process is asked to stop. `services` holds the services' own
    settings, by service.

    HTTP (the gateway and the metrics port): `http_connections` is how many connections may be open at once, and
    `http_connections_per_address` how many from one address, or one /64 network of IPv6; raise it behind a proxy,
    whose address all clients share. Clients never get more than half of the files that the process may open, and
    one address never more than half of that. The timeouts are in seconds: `http_first_octet_timeout` from a
    connection to its first request, `http_idle_timeout` from a response to the next request, `http_head_timeout`
    for a request's head. `http_body_timeout` is for a body, and `http_write_timeout` for a response that its
    client reads slowly; each grows by a second for every `http_slowest` octets that were transferred.
    """

    data: Path = Path("var/souk")
    postgres: str | None = field(default=None, repr=False)
    postgres_pool: int = 10
    postgres_user: str | None = None
    redis: str | None = field(default=None, repr=False)
    host: str | None = None
    port: int = 8080
    listen_fd: int | None = None
    trusted_proxies: tuple[values.Network, ...] = ()
    demo: bool = False
    app: str | None = None
    topology: str = "monolith"
    scale: Mapping[str, int] = field(default_factory=dict)
    commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    log_level: str = "info"
    log_file: Path | None = None
    log_mb: int = 10
    log_kept: int = 5
    registry: str | None = field(default=None, repr=False)
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    instance: str | None = None
    zone: str = ""
    version: str = ""
    weight: int = 1
    hop: str = HOPS[0]
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_ca: Path | None = None
    plain_tcp: bool = False
    control: Path | None = None
    metrics_port: int | None = None
    resilience: Path | None = None
    subscriptions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    faults: Mapping[str, int] = field(default_factory=dict)
    secret: str | None = field(default=None, repr=False)
    drain: float = 20.0
    start_limit: float = 600.0
    http_connections: int = HttpLimits.connections
    http_connections_per_address: int = HttpLimits.per_address
    http_first_octet_timeout: float = HttpLimits.first_octet
    http_head_timeout: float = HttpLimits.head
    http_body_timeout: float = HttpLimits.body
    http_write_timeout: float = HttpLimits.write
    http_idle_timeout: float = HttpLimits.idle
    http_slowest: int = HttpLimits.slowest
    services: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)

    @property
    def log_limits(self) -> LogLimits:
        """How large a log file may become, and how many old ones are kept."""
        return LogLimits(self.log_mb, self.log_kept)

    @property
    def bind(self) -> str:
        """The address that the gateway listens on."""
        return self.host or LOOPBACK

    @property
    def tls(self) -> Certificates | None:
        """The certificates for calls between services, or None. Raises ConfigurationError if only some are given."""
        given = (self.tls_cert, self.tls_key, self.tls_ca)
        if not any(given):
            return None
        if self.tls_cert is None or self.tls_key is None or self.tls_ca is None:
            raise ConfigurationError("SOUK_TLS_CERT, SOUK_TLS_KEY and SOUK_TLS_CA go together: set all three, or none")
        return Certificates(self.tls_cert, self.tls_key, self.tls_ca)

    @property
    def at_a_port(self) -> bool:
        """Whether a service listens at a TCP port, because `host` or `port` is set, and not at a socket."""
        return self.host is not None or self.port != 0

    @property
    def http_limits(self) -> HttpLimits:
        """The limits on clients of this process's HTTP ports."""
        return HttpLimits(
            connections=self.http_connections,
            per_address=self.http_connections_per_address,
            first_octet=self.http_first_octet_timeout,
            head=self.http_head_timeout,
            body=self.http_body_timeout,
            write=self.http_write_timeout,
            idle=self.http_idle_timeout,
            slowest=self.http_slowest,
        )


_READERS: Mapping[str, Callable[[str], Any]] = {
    "data": Path,
    "postgres": values.from_file(values.postgres),
    "postgres_pool": values.from_one(1_000),
    "postgres_user": values.name,
    "redis": values.from_file(values.redis),
    "host": str,
    "port": values.port_number,
    "listen_fd": values.descriptor,
    "trusted_proxies": values.networks,
    "demo": values.flag,
    "app": str,
    "topology": values.one_of(*TOPOLOGIES),
    "scale": values.counts,
    "commands": values.commands,
    "log_level": values.one_of(*LEVELS),
    "log_file": Path,
    "log_mb": values.from_one(100_000),
    "log_kept": values.from_one(1_000),
    "registry": values.registry,
    "addresses": values.addresses,
    "instance": values.name,
    "zone": values.name,
    "version": values.name,
    "weight": values.from_one(1_000),
    "hop": values.one_of(*HOPS),
    "tls_cert": Path,
    "tls_key": Path,
    "tls_ca": Path,
    "plain_tcp": values.flag,
    "control": Path,
    "metrics_port": values.port_number,
    "resilience": Path,
    "subscriptions": values.subscriptions,
    "faults": values.counts,
    "secret": values.secret,
    "drain": values.seconds,
    "start_limit": values.positive_seconds,
    "http_connections": values.from_one(999_999),
    "http_connections_per_address": values.from_one(999_999),
    "http_first_octet_timeout": values.positive_seconds,
    "http_head_timeout": values.positive_seconds,
    "http_body_timeout": values.positive_seconds,
    "http_write_timeout": values.positive_seconds,
    "http_idle_timeout": values.positive_seconds,
    "http_slowest": values.from_one(999_999),
}


VARIABLES = tuple(PREFIX + name.upper() for name in _READERS)
"""The platform's own variables; services have more."""


def _known(services: Iterable[Service]) -> dict[str, tuple[str, str]]:
    """Gives every variable with the service that it belongs to ("" for the platform) and its name there."""
    known = {variable: ("", name) for variable, name in zip(VARIABLES, _READERS, strict=True)}
    for service in services:
        for setting in service.settings:
            known[f"{PREFIX}{service.name}_{setting.name}".upper()] = (service.name, setting.name)
    return known


def _read(variable: str, name: str, text: str) -> Any:
    try:
        return _READERS[name](text)
    except ValueError as error:
        shown = "its value" if name in _HIDDEN else repr(text)
        raise ConfigurationError(f"{variable}: {shown} {error}") from None


def read(
    environment: Mapping[str, str],
    flags: Mapping[str, Any] = _EMPTY,
    services: Iterable[Service] = (),
    defaults: Settings | None = None,
) -> Settings:
    """Makes settings from an environment and flags; a flag that is None was not given.

    Raises ConfigurationError, in one line, for an unknown variable or a value that does not fit.
    """
    known = _known(services)
    found: dict[str, Any] = {}
    own: dict[str, dict[str, str]] = {}
    for variable in sorted(name for name in environment if name.startswith(PREFIX)):
        if variable not in known:
            raise ConfigurationError(
                f"{variable} is not a setting; the nearest is {nearest(variable, known, like=0.0)}"
            )
        service, name = known[variable]
        if service:
            own.setdefault(service, {})[name] = environment[variable]
        else:
            found[name] = _read(variable, name, environment[variable])
    found.update({name: value for name, value in flags.items() if value is not None})
    return _checked(replace(defaults or Settings(), services=own, **found))


def from_environment(
    flags: Mapping[str, Any] = _EMPTY, services: Iterable[Service] = (), defaults: Settings | None = None
) -> Settings:
    """Reads the settings of this process; it knows those of every installed service and of the given `services`."""
    return read(os.environ, flags, (*services, *loadable_services()), defaults)


def inherited() -> dict[str, str]:
    """Gives the environment variables of this process, for the processes that it starts."""
    return dict(os.environ)


def _checked(settings: Settings) -> Settings:
    if settings.demo and settings.bind not in ON_LOOPBACK:
        raise ConfigurationError(
            f"demo data has public passwords and is served on loopback only, not on {settings.bind}; "
            "leave out SOUK_HOST, or start with --no-demo"
        )
    return settings
