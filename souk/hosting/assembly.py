"""Puts services into this process: opens their directories and databases, builds them, and runs their work.

The same code serves a system of one process and a service in a process of its own; `AssemblyContext` holds what
differs.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

import grpc.aio

from souk.descriptors.event_contract import events_of
from souk.faults import Faults
from souk.hosting.event_routing import EventRouting, Subscriptions, elsewhere
from souk.hosting.hosted_service import AssemblyContext, Hosted, hosted, secret_of
from souk.hosting.telemetry import open_telemetry
from souk.kernel.clock import Clock
from souk.projections.rebuild import Rebuild
from souk.runtime.calls.backlog import Backlog
from souk.runtime.calls.channels import Calls, open_calls
from souk.runtime.calls.dependencies import answers, has_room, is_same, tells_time, watched_in
from souk.runtime.calls.metrics import InboxRepeats, StoreRetries, measure_connections
from souk.runtime.checks import ANYBODY, Reachable, require_sound, require_subscriptions
from souk.runtime.config.settings import Settings
from souk.runtime.data.databases import require_a_database_each
from souk.runtime.data.events_broker import is_fit, opened_broker
from souk.runtime.data.redis import open_redis
from souk.runtime.process.background import supervised
from souk.runtime.service import Account, Records, Service
from souk.saga.fault_points import fault_points
from souk.store.database import Database
from souk.store.database_clock import DatabaseClock
from souk.telemetry.logs import logger

_log = logger("hosting")
SEVERAL = "souk"
"""The service that log records name where a process has several."""


@dataclass(frozen=True, slots=True)
class Assembled:
    """Services that run in this process, the calls that lead to them, and what waits for them."""

    hosted: tuple[Hosted, ...]
    calls: Calls
    backlog: Backlog

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

    @property
    def databases(self) -> Mapping[str, Database]:
        """The databases of the services that have one, by service."""
        return {one.service.name: one.context.database for one in self.hosted if one.service.migrations is not None}

    @property
    def accounts(self) -> Mapping[str, Mapping[str, Account]]:
        """What services count, by service and name."""
        return {one.service.name: one.parts.accounts for one in self.hosted if one.parts.accounts}

    @property
    def records(self) -> Mapping[str, Records]:
        """What reads the records of services, by service."""
        return {one.service.name: one.parts.records for one in self.hosted if one.parts.records is not None}

    @property
    def faults(self) -> Faults:
        """The fault points of this process, which all its services share."""
        return self.hosted[0].context.faults

    @property
    def fault_points(self) -> Mapping[str, Sequence[str]]:
        """The names of the fault points of the sagas of services, by service; a service without sagas has none."""
        return {
            one.service.name: [point for saga in one.parts.sagas.versions for point in fault_points(saga)]
            if one.parts.sagas is not None
            else []
            for one in self.hosted
        }

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
    _require_startable(services, subscriptions, settings)
    async with AsyncExitStack() as stack:
        # Entered first, so that databases close last: a handler may use its database until calls have ended.
        names = tuple(service.name for service in services)
        opened = AsyncExitStack()
        await stack.enter_async_context(opened)
        secret = secret_of(settings.calls, settings.data.directory)
        instance = uuid4().hex
        service = names[0] if len(names) == 1 else SEVERAL
        telemetry = await opened.enter_async_context(open_telemetry(settings, clock, service, instance))
        faults = Faults(settings.process.faults)
        opening = open_calls(secret, names, settings.calls, clock, tracing=telemetry.tracing, faults=faults)
        calls = await stack.enter_async_context(opening)
        calls.registry.register(telemetry.logs)
        redis = await opened.enter_async_context(open_redis(settings.data.redis))
        published = [event for service in services for event in events_of(service.contract).values()]
        broker = await opened.enter_async_context(opened_broker(settings.events, published))
        events = EventRouting(subscriptions, broker, elsewhere(settings.calls.discovery))
        assembly = AssemblyContext(
            settings.data,
            settings.services,
            clock,
            faults,
            instance,
            partial(_channels, calls, callees),
            secret,
            redis=redis,
            tracer=calls.tracer,
        )
        found = tuple([await opened.enter_async_context(hosted(service, assembly)) for service in services])
        if broker is not None:
            calls.health.watch("broker", is_fit(broker, published))
        _watch_and_measure(found, calls, settings)
        backlog = Backlog(calls.registry)
        await stack.enter_async_context(_working(found, events, backlog, clock))
        yield Assembled(found, calls, backlog)


def _require_startable(services: Sequence[Service], subscriptions: Subscriptions, settings: Settings) -> None:
    require_sound(services)
    require_subscriptions(services, subscriptions)
    require_a_database_each(services, settings.data)
    if settings.process.faults:
        _log.warning("armed to die at a named point: for tests only", faults=dict(settings.process.faults))


def _watch_and_measure(found: Sequence[Hosted], calls: Calls, settings: Settings) -> None:
    calls.health.watch("disk", has_room(settings.data.directory))
    watched = watched_in(settings.data, [one.service for one in found])
    calls.health.watch("data directory", is_same(watched), blocks=True)
    for one in found:
        calls.serve(one.service, one.parts, one.context.own_database)
        for collector in one.parts.collectors:
            calls.registry.register(collector)
        _watch_database(one, calls)
    kept = {one.service.name: one.context.database for one in found if one.service.migrations is not None}
    calls.registry.register(StoreRetries(kept))
    measure_connections(calls.registry, kept)
    calls.registry.register(InboxRepeats({one.service.name: one.context.inbox for one in found}))


def _watch_database(one: Hosted, calls: Calls) -> None:
    name, clock = f"{one.service.name}'s database", one.context.clock
    if isinstance(clock, DatabaseClock):
        calls.health.watch(name, tells_time(clock))
        calls.skew.watch(name, lambda: clock.ahead)
    elif one.service.migrations is not None:
        calls.health.watch(name, answers(one.context.database))


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
                    _log.error("did not drain", service=one.service.name, error=repr(result))
