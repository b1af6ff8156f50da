"""Puts services into this process: opens their directories and databases, builds them, and runs their work.

The same code serves a system of one process and a service in a process of its own; `AssemblyContext` holds what
differs.
"""

import asyncio
import hmac
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc.aio

from souk.descriptors.event_contract import events_of
from souk.events.relay import Relay
from souk.faults import Faults
from souk.hosting.event_routing import EventRouting, Subscriptions, elsewhere
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError, StoreError
from souk.projections.rebuild import Rebuild
from souk.runtime.calls.backlog import Backlog
from souk.runtime.calls.channels import Calls, open_calls
from souk.runtime.calls.dependencies import answers, has_room, is_same, tells_time, watched_in
from souk.runtime.calls.metrics import InboxRepeats, StoreRetries
from souk.runtime.checks import ANYBODY, Reachable, require_servicer, require_sound, require_subscriptions
from souk.runtime.config.settings import CallSettings, DataSettings, Settings
from souk.runtime.data.database_file import enter, whole_file
from souk.runtime.data.databases import open_database, require_a_database_each
from souk.runtime.data.directory import held, installation_secret, make
from souk.runtime.data.events_broker import is_fit, opened_broker
from souk.runtime.data.redis import open_redis
from souk.runtime.data.saga_definitions import require_compatible_sagas
from souk.runtime.process.background import BackgroundTasks, supervised
from souk.runtime.service import Service, ServiceContext, ServiceParts
from souk.store.database import Database
from souk.store.database_clock import DatabaseClock
from souk.store.idempotency import sweep_for_ever
from souk.store.outbox import Outbox
from souk.telemetry.logs import logger
from souk.telemetry.tracing.tracer import Tracer
from souk.telemetry.tracing.tracing import open_tracing

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
    """A service in this process, with its context and its parts."""

    service: Service
    context: ServiceContext
    parts: ServiceParts

    def start(self, background: BackgroundTasks, events: EventRouting, backlog: Backlog) -> None:
        """Starts its tasks, the relay of its events, the removal of old idempotency keys, and its backlog's count.

        With a broker, also its subscribers.
        """
        name = self.service.name
        subscribers = events.subscribers(name, self.parts, self.context)
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
                self.context.channel,
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
            database = await open_database(service, assembly.data, assembly.clock, assembly.faults)
        try:
            clock = await _clock(database, assembly)
            if _in_a_file(service, assembly.data):
                enter(assembly.data.directory, service.name)
            context = ServiceContext(
                name=service.name,
                own_database=database,
                outbox=Outbox(service.name, clock, service.contract, assembly.tracer(service.name)),
                channel=assembly.channels(service.name),
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
            yield Hosted(service, context, parts)
        finally:
            if database is not None:
                await database.close()


@dataclass(frozen=True, slots=True)
class Assembled:
    """Services that run in this process, and the calls that lead to them."""

    hosted: tuple[Hosted, ...]
    calls: Calls

    @property
    def rebuilds(self) -> Mapping[str, Rebuild]:
        """The rebuilds of all projections, by full name, such as "order.read-model"."""
        return {
            f"{one.service.name}.{name}": Rebuild(name, projection, one.context.database, one.context.faults)
            for one in self.hosted
            for name, projection in one.parts.projections.items()
        }

    @property
    def saga_databases(self) -> Mapping[str, Database]:
        """The databases of the services that run sagas, by service."""
        return {one.service.name: one.context.database for one in self.hosted if one.parts.sagas is not None}

    async def load_demo(self) -> None:
        """Loads every service's demo data, in the app's order."""
        for one in self.hosted:
            await one.parts.demo()


@asynccontextmanager
async def assembled(
    services: Sequence[Service],
    subscriptions: Subscriptions,
    settings: Settings,
    clock: Clock,
    callees: Reachable = ANYBODY,
) -> AsyncIterator[Assembled]:
    """Builds services and runs their background work inside the block; drains and closes them when it ends.

    The data directory must exist. `callees` are the services that can be called. Raises ConfigurationError,
    in one line, for a service or a directory that is not as it must be.
    """
    require_sound(services)
    require_subscriptions(services, subscriptions)
    require_a_database_each(services, settings.data)
    async with AsyncExitStack() as stack:
        # Entered first, so that databases close last: a handler may use its database until calls have ended.
        names = tuple(service.name for service in services)
        opened = AsyncExitStack()
        await stack.enter_async_context(opened)
        secret = secret_of(settings.calls, settings.data.directory)
        about = {"service.instance.id": uuid4().hex}
        tracing = await opened.enter_async_context(open_tracing(settings.tracing, clock, about))
        calls = await stack.enter_async_context(open_calls(secret, names, settings.calls, clock, tracing=tracing))
        redis = await opened.enter_async_context(open_redis(settings.data.redis))
        published = [event for service in services for event in events_of(service.contract).values()]
        broker = await opened.enter_async_context(opened_broker(settings.events, published))
        events = EventRouting(subscriptions, broker, elsewhere(settings.calls.discovery))
        assembly = replace(_assembly_context(settings, clock, calls, callees, secret), redis=redis, tracer=calls.tracer)
        found = tuple([await opened.enter_async_context(hosted(service, assembly)) for service in services])
        if broker is not None:
            calls.health.watch("broker", is_fit(broker, published))
        calls.health.watch("disk", has_room(settings.data.directory))
        calls.health.watch("data directory", is_same(watched_in(settings.data, services)), blocks=True)
        for one in found:
            calls.serve(one.service, one.parts, one.context.own_database)
            for collector in one.parts.collectors:
                calls.registry.register(collector)
            _watch_database(one, calls)
        kept = {one.service.name: one.context.database for one in found if one.service.migrations is not None}
        calls.registry.register(StoreRetries(kept))
        calls.registry.register(InboxRepeats({one.service.name: one.context.inbox for one in found}))
        await stack.enter_async_context(_working(found, events, Backlog(calls.registry), clock))
        yield Assembled(found, calls)


def _watch_database(one: Hosted, calls: Calls) -> None:
    name, clock = f"{one.service.name}'s database", one.context.clock
    if isinstance(clock, DatabaseClock):
        calls.health.watch(name, tells_time(clock))
        calls.skew.watch(name, lambda: clock.ahead)
    elif one.service.migrations is not None:
        calls.health.watch(name, answers(one.context.database))


def _assembly_context(
    settings: Settings, clock: Clock, calls: Calls, callees: Reachable, secret: bytes
) -> AssemblyContext:
    faults = settings.process.faults
    if faults:
        logger("hosting").warning("armed to die at a named point: for tests only", faults=dict(faults))
    channels = partial(_channels, calls, callees)
    return AssemblyContext(settings.data, settings.services, clock, Faults(faults), uuid4().hex, channels, secret)


def _channels(calls: Calls, callees: Reachable, caller: str) -> Callable[[str], grpc.aio.Channel]:
    channel_to = calls.of(caller)

    def channel(name: str) -> grpc.aio.Channel:
        callees.require(caller, name)
        return channel_to(name)

    return channel


@asynccontextmanager
async def _working(
    services: Sequence[Hosted], events: EventRouting, backlog: Backlog, clock: Clock
) -> AsyncIterator[None]:
    async with supervised(clock) as background:
        for one in services:
            one.start(background, events, backlog)
        try:
            yield
        finally:
            ended = await asyncio.gather(*(one.parts.drain() for one in services), return_exceptions=True)
            for one, result in zip(services, ended, strict=True):
                if isinstance(result, Exception):
                    logger("hosting").error("did not drain", service=one.service.name, error=repr(result))
