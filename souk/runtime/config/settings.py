"""Settings: what the platform can be told, as one frozen value of slices, each of one theme.

A function takes the slice that it needs; only the code that puts a system or a process together, and the commands,
have the whole. `variables` says which environment variable sets what, and `environment` reads them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from souk.kernel.addresses import LOOPBACK
from souk.kernel.errors import ConfigurationError
from souk.rpc.tls import Certificates
from souk.runtime.config.console import ConsoleSettings
from souk.runtime.config.parsers import NO_BROKER, Network
from souk.runtime.process.http.limits import HttpLimits
from souk.runtime.process.http.tls import ServerCertificate
from souk.telemetry.log_export.settings import LogExportSettings
from souk.telemetry.tracing.settings import TracingSettings
from souk.telemetry.turning_file import LogLimits

TOPOLOGIES = ("monolith", "fleet")
CLIENT_CERTS = ("optional", REQUIRED := "required")
HOPS = ("connect", "grpc")
SERVICE_PLACEHOLDER = "{service}"
"""Stands for a service's name in the URL of its database."""


@dataclass(frozen=True, slots=True)
class DataSettings:
    """Where a system keeps its data: in `directory`, and on servers.

    `postgres` is the URL of each service's database, with SERVICE_PLACEHOLDER for the service's name, or of the one
    database of a process that is one service; without it each service has a SQLite file in the directory.
    `postgres_pool` is the maximum number of connections from one process to its database. `postgres_prepared` is how
    many prepared transactions the fleet's own PostgreSQL takes at once. `postgres_user` is the user that runs the
    fleet's own PostgreSQL when root starts it; nothing else should run as this user. None means
    `souk-postgres`, created if it does not exist. `redis` is a server for data that may be lost. `search` is the URL of
    a search engine, for services that can use one.
    """

    directory: Path = Path("var/souk")
    postgres: str | None = field(default=None, repr=False)
    postgres_pool: int = 10
    postgres_prepared: int = 0
    postgres_user: str | None = None
    redis: str | None = field(default=None, repr=False)
    search: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ListenSettings:
    """Where the gateway, or a service, listens.

    `host` None means loopback alone, 0.0.0.0 every interface. `descriptor` is a listening socket that is inherited
    from the parent process.
    """

    host: str | None = None
    port: int = 8080
    descriptor: int | None = None

    @property
    def address(self) -> str:
        """The address that the gateway listens on."""
        return self.host or LOOPBACK

    @property
    def at_a_port(self) -> bool:
        """Whether a service listens at a TCP port, because `host` or `port` is set, and not at a socket."""
        return self.host is not None or self.port != 0


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """How the gateway and the metrics port treat their clients.

    `routes` is a file of routes beside those of contracts (docs/routes.md), read again when it changes.

    `trusted_proxies` are networks, such as 10.0.0.0/8,2001:db8::/32: when a proxy in one of them connects, the
    gateway takes the client's address from X-Forwarded-For. From any other peer the header is ignored; by default no
    proxy is trusted.

    `issuers` is the file of other issuers whose access tokens are believed.

    `cert` and `key` are PEM files, both or none: with them the gateway speaks TLS alone. They are read again when they
    change.

    `cors_origins` are the origins whose pages may read the gateway's answers (CORS), as in https://shop.example.com.

    `client_ca` is a PEM file of authorities: with it clients are asked for a certificate that one of them has signed,
    and need one if `client_cert` is REQUIRED. `client_callers` is the file that says whom certificates stand for.

    `read_cache` is how long the gateway answers what everybody may read from its memory, in seconds, and
    `read_cache_mb` how many MiB of answers each gateway keeps; with 0 seconds, the default, it keeps none.

    `limits` are on the number of connections, and on slow clients. Raise those of one address behind a proxy, whose
    address all clients share. Clients never get more than half of the files that the process may open, and one
    address never more than half of that.
    """

    routes: Path | None = None
    trusted_proxies: tuple[Network, ...] = ()
    issuers: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    client_cert: str = CLIENT_CERTS[0]
    client_callers: Path | None = None
    cors_origins: tuple[str, ...] = ()
    read_cache: float = 0.0
    read_cache_mb: int = 64
    limits: HttpLimits = field(default_factory=HttpLimits)

    @property
    def scheme(self) -> str:
        """The scheme of the gateway's URLs."""
        return "http" if self.cert is None else "https"

    @property
    def certificate(self) -> ServerCertificate | None:
        """The gateway's certificate, or None. Raises ConfigurationError if only one file is given."""
        if self.client_ca is None and self.client_cert == REQUIRED:
            raise ConfigurationError("SOUK_HTTP_CLIENT_CERT=required needs SOUK_HTTP_CLIENT_CA: who may sign them")
        if self.client_ca is None and self.client_callers is not None:
            raise ConfigurationError("SOUK_HTTP_CLIENT_CALLERS needs SOUK_HTTP_CLIENT_CA: who may sign certificates")
        if self.cert is None and self.key is None:
            if self.client_ca is not None:
                raise ConfigurationError("SOUK_HTTP_CLIENT_CA needs TLS: set SOUK_HTTP_CERT and SOUK_HTTP_KEY")
            return None
        if self.cert is None or self.key is None:
            raise ConfigurationError("SOUK_HTTP_CERT and SOUK_HTTP_KEY go together: set both, or none")
        return ServerCertificate(self.cert, self.key, self.client_ca, self.client_cert == REQUIRED)


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """How the gateway limits the rates of requests.

    `mode` is a LimitMode; None is the default: to enforce the limits, or to report with demo data. `policies` is a TOML
    file that changes the policies. `running` is how many requests may run at once at most.
    """

    mode: str | None = None
    policies: Path | None = None
    running: int = 1_000


@dataclass(frozen=True, slots=True)
class DiscoverySettings:
    """How services of other processes are found, and how this process is found by others.

    `registry` says where instances register and are found; without it `addresses` says where services of other
    processes listen, by name. `subscriptions` are the types of events for consumers that are not installed here, by
    "service/consumer". `instance` is this process's id in the registry; `zone`, `version` and `weight` are what it
    registers with. `sidecar` is the address of the proxy through which it calls others, and `advertise` the one at
    which others reach it instead of its own; both are empty without a mesh.
    """

    registry: str | None = field(default=None, repr=False)
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    subscriptions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    instance: str | None = None
    zone: str = ""
    version: str = ""
    weight: int = 1
    sidecar: str = ""
    advertise: str = ""


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How services on different machines prove who they are to each other (mutual TLS).

    `cert`, `key` and `ca` are PEM files, all three or none, for services that listen at a TCP port, and for their
    callers. The certificate of a service has its name as a DNS name. The files are read again when they change.
    Without them a service listens at no address but loopback, unless `plain_tcp` says that the network is to be
    trusted.
    """

    cert: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    plain_tcp: bool = False

    @property
    def certificates(self) -> Certificates | None:
        """The certificates for calls between services, or None. Raises ConfigurationError if only some are given."""
        if not any((self.cert, self.key, self.ca)):
            return None
        if self.cert is None or self.key is None or self.ca is None:
            raise ConfigurationError("SOUK_TLS_CERT, SOUK_TLS_KEY and SOUK_TLS_CA go together: set all three, or none")
        return Certificates(self.cert, self.key, self.ca)


@dataclass(frozen=True, slots=True)
class CallSettings:
    """How services call each other.

    `hop` is the protocol by which this process calls others. `resilience` is a file that changes the defaults of
    breakers, retries, bulkheads and balancers; `mesh_policy` is the one that a mesh has for them, and
    `mesh_certificate_life` how many seconds its certificates live. `secret` signs the caller tokens of calls; None
    means the one that is kept in the data directory.
    """

    discovery: DiscoverySettings = field(default_factory=DiscoverySettings)
    tls: TlsSettings = field(default_factory=TlsSettings)
    hop: str = HOPS[0]
    resilience: Path | None = None
    mesh_policy: Path | None = None
    mesh_certificate_life: float = 600.0
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class EventSettings:
    """How events travel between services: through the broker at the URL `broker`, or by calls without one.

    None is the default of the topology: a fleet has a bus of its own, one process needs no broker. NO_BROKER is by
    calls in any case.
    """

    broker: str | None = field(default=None, repr=False)

    @property
    def url(self) -> str | None:
        """The URL of the broker that is named; None if there is none."""
        return None if self.broker == NO_BROKER else self.broker


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """How the processes of a fleet are started.

    `scale` is how many processes each service has, `commands` are the commands that start services which are not
    installed here, such as one in another language. With a `mesh` each process has a sidecar through which it calls;
    those `outside` are in no network namespace. A process that is not ready after `start_limit` seconds is started
    anew, even if it makes progress.
    """

    scale: Mapping[str, int] = field(default_factory=dict)
    commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    start_limit: float = 600.0
    mesh: bool = False
    outside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LogFileSettings:
    """What is logged, from `level` on, and where: in `file`, or on standard error.

    `limits` say when each log file of Souk's is rotated, also those of a fleet's processes, and how many are kept.
    """

    level: str = "info"
    file: Path | None = None
    limits: LogLimits = field(default_factory=LogLimits)


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """How one process is operated.

    `control` is the path of a private socket that reports the state of the process; `metrics_port` is a port of
    `metrics_host` with its metrics and health over HTTP. `drain` is how many seconds running requests get when the
    process is asked to stop. `faults` arms named points at which the process dies (development only).
    """

    control: Path | None = None
    metrics_port: int | None = None
    metrics_host: str = LOOPBACK
    drain: float = 20.0
    faults: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings, with their defaults.

    `app` is the installed app to serve, with demo data if `demo`, in one process or many as `topology` says.
    `services` holds the services' own settings, by service.
    """

    app: str | None = None
    demo: bool = False
    topology: str = TOPOLOGIES[0]
    data: DataSettings = field(default_factory=DataSettings)
    listen: ListenSettings = field(default_factory=ListenSettings)
    http: HttpSettings = field(default_factory=HttpSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    calls: CallSettings = field(default_factory=CallSettings)
    events: EventSettings = field(default_factory=EventSettings)
    fleet: FleetSettings = field(default_factory=FleetSettings)
    log: LogFileSettings = field(default_factory=LogFileSettings)
    process: ProcessSettings = field(default_factory=ProcessSettings)
    tracing: TracingSettings = field(default_factory=TracingSettings)
    log_export: LogExportSettings = field(default_factory=LogExportSettings)
    console: ConsoleSettings = field(default_factory=ConsoleSettings)
    services: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
