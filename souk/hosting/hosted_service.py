"""One service in this process: its directory and database, its context, its parts, and the work that they do."""

import hmac
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import grpc.aio

from souk.descriptors.event_contract import events_of
from souk.events.relay import Relay
from souk.faults import Faults
from souk.hosting.event_routing import EventRouting
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError, StoreError
from souk.runtime.calls.backlog import Backlog
from souk.runtime.checks import require_declared, require_servicer
from souk.runtime.config.settings import CallSettings, DataSettings
from souk.runtime.data.database_file import enter, whole_file
from souk.runtime.data.databases import open_database
from souk.runtime.data.directory import held, installation_secret, make
from souk.runtime.data.saga_definitions import require_compatible_sagas
from souk.runtime.process.background import BackgroundTasks
from souk.runtime.service import Service, ServiceContext, ServiceParts
from souk.store.database import Database
from souk.store.database_clock import DatabaseClock
from souk.store.idempotency import sweep_for_ever
from souk.store.outbox import Outbox
from souk.telemetry.tracing.tracer import Tracer

if TYPE_CHECKING:
    from redis.asyncio import Redis  # an optional extra


@dataclass(frozen=True, slots=True)
class AssemblyContext:
    """What all services of this process share.

    `services` holds the services' own settings, by service. `channels(name)` gives the function by which the service
    of that name opens channels; `instance` is unique to this run of this process; `secret` is the installation's;
    `redis` is closed by the code that opened it; `tracer(name)` gives the tracer of that service.
    """

    data: DataSettings
    services: Mapping[str, Mapping[str, str]] = field(repr=False)
    clock: Clock
    faults: Faults
    instance: str
    channels: Callable[[str], Callable[[str], grpc.aio.Channel]]
    secret: bytes = field(repr=False)
    redis: "Redis | None" = None
    tracer: Callable[[str], Tracer | None] = field(default=lambda name: None)


@dataclass(frozen=True, slots=True)
class Hosted:
    """A service in this process, with its context and its parts.

    `platform_channel` gives the channels of what the platform does for it, which it does not declare.
    """

    service: Service
    context: ServiceContext
    parts: ServiceParts
    platform_channel: Callable[[str], grpc.aio.Channel]

    def start(self, background: BackgroundTasks, events: EventRouting, backlog: Backlog) -> None:
        """Starts its tasks, the relay of its events, the removal of old idempotency keys, and its backlog's count.

        With a broker, also its subscribers.
        """
        name = self.service.name
        subscribers = events.subscribers(name, self.parts, self.context, self.platform_channel)
        for subscriber in subscribers:
            background.start(f"{name}: {subscriber.group} at the broker", subscriber.run)
        if subscribers:
            background.start(f"{name}: what waits at the broker", lambda: backlog.watch_broker(name, subscribers))
        for task, work in self.parts.tasks.items():
            background.start(f"{name}: {task}", work)
        if self.service.migrations is not None:
            relay = Relay(
                self.context.database,
                events.subscriptions,
                self.platform_channel,
                self.context.instance,
                self.context.clock,
                source=name,
                broker=events.publisher(self.context.tracer),
                elsewhere=events.elsewhere,
                retentions={event.name: event.retention for event in events_of(self.service.contract).values()},
                faults=self.context.faults,
            )
            background.start(f"{name}: relay", relay.run)
            background.start(f"{name}: old keys", lambda: sweep_for_ever(self.context.database))
            records = [one for one in (self.parts.sagas, self.parts.two_phase_commits) if one is not None]
            background.start(f"{name}: what waits", lambda: backlog.watch(name, relay, records))


def secret_of(calls: CallSettings, data: Path) -> bytes:
    """Gives the installation's secret: it signs caller tokens, and each service's own secret is derived from it."""
    return installation_secret(data) if calls.secret is None else calls.secret.encode()


@contextmanager
def _folder(service: Service, data: DataSettings) -> Iterator[Path]:
    """Gives the service's directory, locked for this process unless the service's replicas share a database."""
    if data.postgres is None:
        with held(data.directory / service.name) as folder, _file(service, data):
            yield folder
    else:
        yield make(data.directory / service.name)


async def _clock(database: Database | None, assembly: AssemblyContext) -> Clock:
    """Gives a service's clock: its database server's, which its replicas share, or this machine's for a file."""
    if database is None or assembly.data.postgres is None:
        return assembly.clock
    clock = DatabaseClock(assembly.clock, database)
    try:
        await clock.ask()
    except StoreError as error:
        raise ConfigurationError(str(error)) from error
    return clock


def _declared(service: Service, channels: Callable[[str], grpc.aio.Channel]) -> Callable[[str], grpc.aio.Channel]:
    """Gives the channels that a service opens itself: to those that it declares."""

    def channel(name: str) -> grpc.aio.Channel:
        require_declared(service, name)
        return channels(name)

    return channel


def _in_a_file(service: Service, data: DataSettings) -> bool:
    return service.migrations is not None and data.postgres is None


def _file(service: Service, data: DataSettings) -> AbstractContextManager[None]:
    return whole_file(data.directory, service.name) if _in_a_file(service, data) else nullcontext()


@asynccontextmanager
async def hosted(service: Service, assembly: AssemblyContext) -> AsyncIterator[Hosted]:
    """Opens a service's directory and database, migrates, and builds the service; closes all when the block ends.

    Raises ConfigurationError, in one line, when the directory or the database cannot be used, or the servicer lacks
    a method.
    """
    with _folder(service, assembly.data) as folder:
        database = None
        if service.migrations is not None:
            tracer = assembly.tracer(service.name)
            database = await open_database(service, assembly.data, assembly.clock, assembly.faults, tracer)
        try:
            clock, channels = await _clock(database, assembly), assembly.channels(service.name)
            if _in_a_file(service, assembly.data):
                enter(assembly.data.directory, service.name)
            context = ServiceContext(
                name=service.name,
                own_database=database,
                outbox=Outbox(service.name, clock, service.contract, assembly.tracer(service.name)),
                channel=_declared(service, channels),
                clock=clock,
                folder=folder,
                instance=assembly.instance,
                secret=hmac.digest(assembly.secret, f"service {service.name}".encode(), "sha256"),
                settings=assembly.services.get(service.name, {}),
                faults=assembly.faults,
                redis=assembly.redis,
                search=assembly.data.search,
                tracer=assembly.tracer(service.name),
            )
            parts = await service.build(context)
            require_servicer(service, parts.servicer)
            await require_compatible_sagas(service, parts)
            yield Hosted(service, context, parts, channels)
        finally:
            if database is not None:
                await database.close()
