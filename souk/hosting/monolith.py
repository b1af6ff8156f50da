"""The whole system as one process: `souk up`.

    socket -> data directory -> each service: database, migrations, parts -> background work
           -> gateway -> demo data -> ready

It stops in the other order: the gateway takes nothing new and finishes what runs, services drain,
background work is cancelled where it waits, calls end, databases close.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from uuid import uuid4

import grpc.aio

from souk.admin.monolith_servicer import controlling_system
from souk.admin.process_servicer import Inspected
from souk.faults import Faults
from souk.hosting.assembly import Ground, Heard, Hosted, heard_in, hosted, secret_of
from souk.hosting.door import Door
from souk.hosting.gateway_app import Readiness, gateway
from souk.kernel.clock import Clock
from souk.runtime.calls.backlog import Waiting
from souk.runtime.calls.channels import Calls, open_calls
from souk.runtime.calls.dependencies import answers, has_room, is_same, tells_time, watched_in
from souk.runtime.calls.store_metrics import StoreRetries
from souk.runtime.checks import ANYBODY, Reachable, reachable, require_sound
from souk.runtime.config.settings import Settings
from souk.runtime.data import manifest
from souk.runtime.data.database_file import require_complete
from souk.runtime.data.databases import require_a_database_each
from souk.runtime.data.directory import held
from souk.runtime.data.redis import open_redis
from souk.runtime.process.http.server import serving
from souk.runtime.process.ops_http import scraped
from souk.runtime.process.signals import supervised
from souk.runtime.process.sockets import address_of, listen
from souk.runtime.service import App, Service
from souk.store.database_clock import DatabaseClock
from souk.telemetry.logs import logger


@dataclass(frozen=True, slots=True)
class Running:
    """A system that is up, and where."""

    url: str
    hosted: tuple[Hosted, ...]


@dataclass(frozen=True, slots=True)
class Assembled:
    """Services that work in this process, and the calls that lead to them."""

    hosted: tuple[Hosted, ...]
    calls: Calls

    async def load_demo(self) -> None:
        """Loads every service's demo data, in the app's order."""
        for one in self.hosted:
            await one.parts.demo()


@asynccontextmanager
async def assembled(
    services: Sequence[Service], heard: Heard, settings: Settings, clock: Clock, callees: Reachable = ANYBODY
) -> AsyncIterator[Assembled]:
    """Puts services together and runs their background work; takes them apart at the end.

    The data directory must be there. `callees` are the services that can be called. Raises ConfigurationError,
    in one line, for a service or a directory that is not as it must be.
    """
    require_sound(services)
    require_a_database_each(services, settings)
    async with AsyncExitStack() as stack:
        # Entered first to be left last: a handler may use its database until calls are over.
        names = tuple(service.name for service in services)
        opened = AsyncExitStack()
        await stack.enter_async_context(opened)
        calls = await stack.enter_async_context(open_calls(secret_of(settings), names, settings, clock))
        redis = await opened.enter_async_context(open_redis(settings.redis))
        ground = replace(_ground(settings, clock, calls, callees), redis=redis)
        found = tuple([await opened.enter_async_context(hosted(service, ground)) for service in services])
        calls.health.watch("disk", has_room(settings.data))
        calls.health.watch("data directory", is_same(watched_in(settings, services)), blocks=True)
        for one in found:
            calls.serve(one)
            for collector in one.parts.collectors:
                calls.registry.register(collector)
            _watch_database(one, calls)
        kept = {one.service.name: one.host.database for one in found if one.service.migrations is not None}
        calls.registry.register(StoreRetries(kept))
        await stack.enter_async_context(_working(found, heard, Waiting(calls.registry), clock))
        yield Assembled(found, calls)


def _watch_database(one: Hosted, calls: Calls) -> None:
    name, clock = f"{one.service.name}'s database", one.host.clock
    if isinstance(clock, DatabaseClock):
        calls.health.watch(name, tells_time(clock))
        calls.skew.watch(name, lambda: clock.ahead)
    elif one.service.migrations is not None:
        calls.health.watch(name, answers(one.host.database))


def _ground(settings: Settings, clock: Clock, calls: Calls, callees: Reachable) -> Ground:
    if settings.faults:
        logger("hosting").warning("armed to die at a named point: for tests only", faults=dict(settings.faults))
    channels = partial(_channels, calls, callees)
    return Ground(settings, clock, Faults(settings.faults), uuid4().hex, channels, secret_of(settings))


def _channels(calls: Calls, callees: Reachable, caller: str) -> Callable[[str], grpc.aio.Channel]:
    channel_to = calls.of(caller)

    def channel(name: str) -> grpc.aio.Channel:
        callees.require(caller, name)
        return channel_to(name)

    return channel


@asynccontextmanager
async def _working(services: Sequence[Hosted], heard: Heard, waiting: Waiting, clock: Clock) -> AsyncIterator[None]:
    async with supervised(clock) as supervisor:
        for one in services:
            one.start(supervisor, heard, waiting)
        try:
            yield
        finally:
            ended = await asyncio.gather(*(one.parts.drain() for one in services), return_exceptions=True)
            for one, result in zip(services, ended, strict=True):
                if isinstance(result, Exception):
                    logger("hosting").error("did not drain", service=one.service.name, error=repr(result))


@asynccontextmanager
async def monolith(app: App, settings: Settings, clock: Clock) -> AsyncIterator[Running]:
    """Brings the whole system up; it is ready when this gives, and closed when the block ends.

    Raises ConfigurationError, in one line, when a port, a directory or a file is not as it must be.
    """
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(listen(settings.bind, settings.port))
        stack.enter_context(held(settings.data))
        kept = [service.name for service in app.services if service.migrations is not None]
        databases = manifest.FILES if settings.postgres is None else manifest.GIVEN
        require_complete(settings.data)
        manifest.claim(settings.data, manifest.MONOLITH, databases)
        heard = heard_in(app.services, settings.subscriptions)
        system = await stack.enter_async_context(
            assembled(app.services, heard, settings, clock, reachable(app.services, settings))
        )
        if databases == manifest.GIVEN:
            manifest.record(settings.data, kept)
        readiness = Readiness(system.calls.health)
        door = Door(gateway(app, system.calls, settings, clock, readiness))
        await stack.enter_async_context(serving(door, listener, settings.drain, limits=settings.http_limits))
        metrics = await stack.enter_async_context(
            scraped(settings.metrics_port, system.calls.registry, readiness, settings.http_limits)
        )
        seen = Inspected(
            service=app.name,
            instance=app.name,
            breakers=system.calls.breakers,
            traffic=door.traffic,
            clock=clock,
            health=system.calls.health,
            version=settings.version,
            metrics_address=metrics,
        )
        await stack.enter_async_context(
            controlling_system(settings.data, seen, address_of(listener), settings.log_file)
        )
        if settings.demo:
            await system.load_demo()
        stack.enter_context(readiness.on())
        yield Running(f"http://{address_of(listener)}", system.hosted)
