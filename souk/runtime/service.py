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
from souk.store.database import Database, Transaction
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

    `channel(name)` is a gRPC channel to the service of that name, wherever it runs; it raises ConfigurationError for
    one that the service does not declare in its `calls`. `folder` is the
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


Account = Callable[[Transaction], Awaitable[Mapping[str, int]]]
"""Reads what a service counts in its own database: an amount for each unit, a currency (in minor units) or a product.

It is read at any time, while the system works, so it must not take long: sums are SQL's.
"""


@dataclass(frozen=True, slots=True)
class Invariant:
    """What must be equal, in each unit: the sum of the accounts of `left`, and that of `right`, each "SERVICE/ACCOUNT".

    An empty side is zero. `meaning` says it for people, in a sentence.
    """

    name: str
    meaning: str
    left: tuple[str, ...]
    right: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordQuery:
    """Asks what is recorded about a `subject`, such as an order; `keys` are those of the steps of its sagas."""

    subject: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recorded:
    """One thing that a service has recorded about a subject, for operators, without personal data.

    `at` is in microseconds since 1970. `kind` is a word such as "ledger". `event_id` is that of an event which was
    published: how it was delivered is shown beside it. `state_of` is what this is a state of, such as the id of a
    payment: it was so until the next record of the same. Empty for what only happened.
    """

    at: int
    kind: str
    what: str
    detail: str = ""
    event_id: str = ""
    state_of: str = ""


Records = Callable[[Transaction, RecordQuery], Awaitable[Sequence[Recorded]]]
"""Reads what a service has recorded about a subject in its own database; it must find it by an index."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What sagas and records are about, such as an order: the console has a page for each, at /console/PATH/ID.

    `name` is for people, and ids begin with `prefix`.
    """

    path: str
    name: str
    prefix: str


async def nothing() -> None:
    """Does nothing: the default for a service without demo data, or with nothing to drain."""


@dataclass(frozen=True, slots=True)
class ServiceParts:
    """What a service returns when it is built: its servicer, its consumers by name, and its background tasks.

    A task runs from start until it is cancelled; one that fails is started again with back-off.
    `demo` loads demo data and may be called again. `drain` is awaited when no request runs any
    more, before the tasks are cancelled. The runs of `sagas` and of `two_phase_commits` are counted in the metrics;
    tasks of the service must run them. `breakers` are those around what is outside the system, by its name; NAME/USE
    is a further one around NAME, for one use of it.
    `collectors` are metrics of the service's own, for the metrics of its process. `history` reads out what it has
    published, if it keeps that. `accounts` are what it counts, for the app's invariants, and `records`
    what it has recorded about the app's subjects.
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
    accounts: Mapping[str, Account] = field(default_factory=dict)
    records: Records | None = None


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
    what the database must have; it raises ConfigurationError for a setting that is wrong. `calls` are the names of the
    services to which it opens channels: who may call whom follows from them. What the platform calls for it, such as
    the consumers of its events, is not declared. `reaches` are the settings that name systems outside, which it calls.
    """

    name: str
    contract: ServiceDescriptor
    build: Callable[[ServiceContext], Awaitable[ServiceParts]]
    migrations: Traversable | None = None
    subscriptions: tuple[Subscription, ...] = ()
    settings: tuple[Setting, ...] = ()
    needs: Callable[[Mapping[str, str]], DatabaseNeeds] = _needs_nothing
    calls: tuple[str, ...] = ()
    reaches: tuple[str, ...] = ()


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
    cookies. Users with the role `operator_role` may use the console.
    """

    issuer: str
    audience: str
    keys_method: str
    roles_method: str
    api_keys_method: str = ""
    client_tokens_method: str = ""
    login_method: str = ""
    logout_method: str = ""
    operator_role: str = "admin"


@dataclass(frozen=True, slots=True)
class Emulator:
    """A program beside a fleet that stands for something outside the system, such as a bank in development.

    It is started unless `setting` of `service` gives the address of the real system; if it is started, that setting
    becomes `url`. `arguments` are the arguments of Python that start it, and `settings` are further settings of the
    service. In all of them {socket} is the path of a unix socket that only the owner of the fleet can reach, and
    {folder} is the folder of the service. `stands_for` is the name by which breakers and spans know the real system.
    """

    name: str
    service: str
    setting: str
    url: str
    arguments: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)
    stands_for: str = ""


@dataclass(frozen=True, slots=True)
class App:
    """The services that make one system, the issuer of its callers' tokens, and its emulators for development.

    The API's page offers `demo_logins` while there is demo data: bodies of the login, by the names of the accounts.
    Its examples use `python_client`, the package of the API's generated client, or httpx. The console compares the
    sides of `invariants` while the system runs, and has a page for each of the `subjects`.
    """

    name: str
    services: tuple[Service, ...]
    token_issuer: TokenIssuer
    emulators: tuple[Emulator, ...] = ()
    demo_logins: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    python_client: str = ""
    invariants: tuple[Invariant, ...] = ()
    subjects: tuple[Subject, ...] = ()
