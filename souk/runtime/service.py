"""What a service declares, so that the platform can put it into a process.

Its `build` function is its one composition root: it gets a ServiceContext and returns its ServiceParts.
Nothing of it runs at import.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING

import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor

from souk.descriptors.asyncapi.document import Speaker
from souk.events.consumer import Handler
from souk.events.sender import AfterParked
from souk.events.source import History
from souk.faults import INERT, Faults
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError
from souk.projections.projection import Projection
from souk.resilience.breaker.breaker import Breaker
from souk.saga.runner import SagaRunner
from souk.store.database import Database
from souk.store.inbox import Inbox
from souk.store.outbox import Outbox
from souk.telemetry.metrics import Collector
from souk.telemetry.tracing.tracer import Tracer
from souk.two_phase_commit.coordinator import TwoPhaseCoordinator

if TYPE_CHECKING:
    from redis.asyncio import Redis  # an optional extra


@dataclass(frozen=True, slots=True)
class Subscription:
    """A consumer by name, and the full names of the types of events that it takes.

    An event that it cannot handle is parked. Later events of the same key pass it; with `after_parked="wait"` they wait
    until an operator has replayed or discarded it. Such a consumer is called with its events, one of a key at a time,
    also in a system with a broker.
    """

    consumer: str
    types: tuple[str, ...]
    after_parked: AfterParked = "pass"


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """What a service gets when it is built.

    `channel(name)` is a gRPC channel to the service of that name, wherever it runs. `folder` is the
    service's own directory; its replicas share it if the database is on a server. `instance` is unique to
    this run of this process. `secret` is the service's own, the same in each of its processes and at every
    start of the installation: for what it encrypts, or digests under a key. `settings` are the service's own,
    by name, as text. `own_database` is None for a service without migrations, which has no `database` and
    writes to no `outbox`. `inbox` recognises events that come again, and counts them for the metrics. `clock` tells
    the date of the database's server, so that replicas agree whatever their machines' clocks show. `redis` is a client
    of a server for data that may be lost, if there is one; its commands end within a quarter of a second, often with
    an error. `search` is the URL of a search engine, if there is one: the service opens it with a client of its own.
    `tracer` records what the service does; None while nothing is traced.
    """

    name: str
    own_database: Database | None
    outbox: Outbox
    channel: Callable[[str], grpc.aio.Channel]
    clock: Clock
    folder: Path
    instance: str
    secret: bytes = field(repr=False)
    settings: Mapping[str, str] = field(default_factory=dict)
    faults: Faults = field(default_factory=lambda: INERT)
    redis: "Redis | None" = None
    inbox: Inbox = field(default_factory=Inbox)
    search: str | None = field(default=None, repr=False)
    tracer: Tracer | None = None

    @property
    def database(self) -> Database:
        """The service's database. Raises ConfigurationError for a service without migrations."""
        if self.own_database is None:
            raise ConfigurationError(
                f"{self.name} asks for its database and has none: its Service must name the folder of its migrations"
            )
        return self.own_database


async def nothing() -> None:
    """Does nothing: the default for a service without demo data, or with nothing to drain."""


@dataclass(frozen=True, slots=True)
class ServiceParts:
    """What a service returns when it is built: its servicer, its consumers by name, and its background tasks.

    A task runs from start until it is cancelled; one that fails is started again with back-off.
    `demo` loads demo data and may be called again. `drain` is awaited when no request runs any
    more, before the tasks are cancelled. The runs of `sagas` and of `two_phase_commits` are counted in the metrics;
    tasks of the service must run them. `breakers` are those around what is outside the system, by its name.
    `collectors` are metrics of the service's own, for the metrics of its process. `history` reads out what it has
    published, if it keeps that.
    """

    servicer: object
    consumers: Mapping[str, Handler] = field(default_factory=dict)
    tasks: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    demo: Callable[[], Awaitable[None]] = nothing
    drain: Callable[[], Awaitable[None]] = nothing
    sagas: SagaRunner | None = None
    two_phase_commits: TwoPhaseCoordinator | None = None
    breakers: Mapping[str, Breaker] = field(default_factory=dict)
    collectors: Sequence[Collector] = ()
    projections: Mapping[str, Projection] = field(default_factory=dict)
    history: History | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting: its name, its meaning, its default and its unit."""

    name: str
    meaning: str
    default: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class DatabaseNeeds:
    """What a service, as it is set, needs of its database that not every one has."""

    prepared_transactions: bool = False


def _needs_nothing(settings: Mapping[str, str]) -> DatabaseNeeds:
    return DatabaseNeeds()


@dataclass(frozen=True, slots=True)
class Service:
    """One service, as the entry point of its wheel names it.

    `migrations` is the folder of its numbered SQL files; None for a stateless service. `settings`
    are the service's own, named in small letters: `provider_delay` of the service `payment` is
    the variable `SOUK_PAYMENT_PROVIDER_DELAY` and `ServiceContext.settings["provider_delay"]`. `needs` tells from them
    what the database must have; it raises ConfigurationError for a setting that is wrong.
    """

    name: str
    contract: ServiceDescriptor
    build: Callable[[ServiceContext], Awaitable[ServiceParts]]
    migrations: Traversable | None = None
    subscriptions: tuple[Subscription, ...] = ()
    settings: tuple[Setting, ...] = ()
    needs: Callable[[Mapping[str, str]], DatabaseNeeds] = _needs_nothing


def speakers_of(services: Iterable[Service]) -> list[Speaker]:
    """Returns what services say and hear, for the AsyncAPI document."""
    return [
        Speaker(service.name, service.contract, {one.consumer: one.types for one in service.subscriptions})
        for service in services
    ]


@dataclass(frozen=True, slots=True)
class TokenIssuer:
    """The issuer and the audience of access tokens, and the methods that tell the gateway their keys and users' roles.

    A method is its full name, such as `/shop.user.v1.UserService/GetRoles`. `api_keys_method` tells whose an API key
    is; without it there are none. `client_tokens_method` gives an access token for one; without it `/oauth/token` is
    not a path. `login_method` and `logout_method` begin and end sessions of browsers; without them there are no
    cookies.
    """

    issuer: str
    audience: str
    keys_method: str
    roles_method: str
    api_keys_method: str = ""
    client_tokens_method: str = ""
    login_method: str = ""
    logout_method: str = ""


@dataclass(frozen=True, slots=True)
class Emulator:
    """A program beside a fleet that stands for something outside the system, such as a bank in development.

    It is started unless `setting` of `service` gives the address of the real system; if it is started, that setting
    becomes `url`. `arguments` are the arguments of Python that start it, and `settings` are further settings of the
    service. In all of them {socket} is the path of a unix socket that only the owner of the fleet can reach, and
    {folder} is the folder of the service.
    """

    name: str
    service: str
    setting: str
    url: str
    arguments: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class App:
    """The services that make one system, the issuer of its callers' tokens, and its emulators for development."""

    name: str
    services: tuple[Service, ...]
    token_issuer: TokenIssuer
    emulators: tuple[Emulator, ...] = ()
