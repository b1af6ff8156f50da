"""One service, put into this process: its directory, its database, its parts.

The same code serves a system of one process and a service that is a process of its own; `Ground`
says what differs.
"""

import hmac
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import grpc.aio

from souk.events.relay import Relay
from souk.faults import Faults
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError, StoreError
from souk.runtime.calls.backlog import Waiting
from souk.runtime.checks import require_servicer
from souk.runtime.config.settings import Settings
from souk.runtime.data.database_file import enter, whole_file
from souk.runtime.data.databases import open_database
from souk.runtime.data.directory import held, installation_secret, make
from souk.runtime.process.signals import Supervisor
from souk.runtime.service import Host, Parts, Service, Subscription
from souk.store.database import Database
from souk.store.database_clock import DatabaseClock
from souk.store.idempotency import sweep_for_ever
from souk.store.outbox import Outbox

if TYPE_CHECKING:
    from redis.asyncio import Redis  # an optional extra

NOBODY: Mapping[str, Sequence[str]] = MappingProxyType({})

Heard = Sequence[tuple[str, Subscription]]
"""What is heard in the whole system: pairs of a service's name and a subscription of it."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What every service of this process stands on.

    `channels(name)` is how the service of that name reaches others; `instance` is unique to this run
    of this process; `secret` is the installation's; `redis` is closed by whoever opened it.
    """

    settings: Settings
    clock: Clock
    faults: Faults
    instance: str
    channels: Callable[[str], Callable[[str], grpc.aio.Channel]]
    secret: bytes = field(repr=False)
    redis: "Redis | None" = None


@dataclass(frozen=True, slots=True)
class Hosted:
    """A service that is in this process."""

    service: Service
    host: Host
    parts: Parts

    def start(self, supervisor: Supervisor, heard: Heard, waiting: Waiting) -> None:
        """Starts its own work, the relay of what it publishes, and the count of what waits."""
        name = self.service.name
        for task, work in self.parts.tasks.items():
            supervisor.start(f"{name}: {task}", work)
        if self.service.migrations is not None:
            relay = Relay(
                self.host.database,
                heard,
                self.host.channel,
                self.host.instance,
                self.host.clock,
                source=name,
                faults=self.host.faults,
            )
            supervisor.start(f"{name}: relay", relay.run)
            supervisor.start(f"{name}: old keys", lambda: sweep_for_ever(self.host.database))
            supervisor.start(f"{name}: what waits", lambda: waiting.watch(name, relay, self.parts.sagas))


def secret_of(settings: Settings) -> bytes:
    """What callers are signed with between services, and what a service derives its own secret from."""
    return installation_secret(settings.data) if settings.secret is None else settings.secret.encode()


def heard_in(services: Iterable[Service], besides: Mapping[str, Sequence[str]] = NOBODY) -> Heard:
    """Every subscription of these services, and what `besides` says: types by "service/consumer"."""
    types: dict[tuple[str, str], dict[str, None]] = {}
    for service in services:
        for heard in service.subscriptions:
            types.setdefault((service.name, heard.consumer), {}).update(dict.fromkeys(heard.types))
    for route, named in besides.items():
        name, _, consumer = route.partition("/")
        types.setdefault((name, consumer), {}).update(dict.fromkeys(named))
    return [(name, Subscription(consumer, tuple(heard))) for (name, consumer), heard in types.items()]


@contextmanager
def _folder(service: Service, settings: Settings) -> Iterator[Path]:
    """The service's directory: this process's alone, unless its replicas have a database in common."""
    if settings.postgres is None:
        with held(settings.data / service.name) as folder, _file(service, settings):
            yield folder
    else:
        yield make(settings.data / service.name)


async def _clock(database: Database | None, ground: Ground) -> Clock:
    """What a service tells the date by: a server's clock, which its replicas share; a file's is this machine's."""
    if database is None or ground.settings.postgres is None:
        return ground.clock
    clock = DatabaseClock(ground.clock, database)
    try:
        await clock.ask()
    except StoreError as error:
        raise ConfigurationError(str(error)) from error
    return clock


def _in_a_file(service: Service, settings: Settings) -> bool:
    return service.migrations is not None and settings.postgres is None


def _file(service: Service, settings: Settings) -> AbstractContextManager[None]:
    return whole_file(settings.data, service.name) if _in_a_file(service, settings) else nullcontext()


@asynccontextmanager
async def hosted(service: Service, ground: Ground) -> AsyncIterator[Hosted]:
    """Opens a service's directory and database, migrates, and builds it; closes with the block.

    Raises ConfigurationError, in one line, for what is wrong with the directory or the database.
    """
    with _folder(service, ground.settings) as folder:
        database = None
        if service.migrations is not None:
            database = await open_database(service, ground.settings, ground.clock, ground.faults)
        try:
            clock = await _clock(database, ground)
            if _in_a_file(service, ground.settings):
                enter(ground.settings.data, service.name)
            host = Host(
                name=service.name,
                own_database=database,
                outbox=Outbox(service.name, clock),
                channel=ground.channels(service.name),
                clock=clock,
                folder=folder,
                instance=ground.instance,
                secret=hmac.digest(ground.secret, f"service {service.name}".encode(), "sha256"),
                settings=ground.settings.services.get(service.name, {}),
                faults=ground.faults,
                redis=ground.redis,
            )
            parts = await service.build(host)
            require_servicer(service, parts.servicer)
            yield Hosted(service, host, parts)
        finally:
            if database is not None:
                await database.close()
