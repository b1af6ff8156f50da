"""Runs the whole system as one process: `souk up`.

    socket -> data directory -> each service: database, migrations, parts -> background work
           -> gateway -> demo data -> ready

It stops in the opposite order: the gateway takes no new requests and finishes those that run, services drain,
background work is cancelled, calls end, databases close.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from souk.admin.applications import Applications
from souk.admin.servicers.monolith import controlling_system
from souk.admin.servicers.process import Inspected
from souk.gateway.routing.live import LiveRoutes
from souk.hosting.adopted.joining import open_joining
from souk.hosting.assembly import Assembled, assembled
from souk.hosting.event_routing import subscriptions_of
from souk.hosting.gateway.live_routes import OnHangup
from souk.hosting.gateway.opening import open_gateway
from souk.hosting.hosted_service import Hosted
from souk.kernel.clock import Clock
from souk.runtime.checks import reachable
from souk.runtime.config.settings import Settings
from souk.runtime.data import manifest
from souk.runtime.data.database_file import require_complete
from souk.runtime.data.directory import held, make
from souk.runtime.data.layout import DataLayout
from souk.runtime.process.http.server import serving
from souk.runtime.process.http.tls import server_tls
from souk.runtime.process.ops_http import Readiness, scraped
from souk.runtime.process.sockets import address_of, listen
from souk.runtime.service import App
from souk.telemetry.kept_log import kept_log
from souk.telemetry.traffic import Traffic


@dataclass(frozen=True, slots=True)
class RunningSystem:
    """A system that is up: its URL and its services."""

    url: str
    hosted: tuple[Hosted, ...]


@asynccontextmanager
async def monolith(
    app: App, settings: Settings, clock: Clock, on_hangup: OnHangup | None = None
) -> AsyncIterator[RunningSystem]:
    """Starts the whole system, which is ready inside the block, and closes it when the block ends.

    With a routes file, `on_hangup` is given what is to happen at SIGHUP.

    Raises ConfigurationError, in one line, when a port, a directory or a file is not as it must be.
    """
    data, about = settings.data, settings.calls.discovery
    async with AsyncExitStack() as stack:
        tls = server_tls(settings.http.certificate)
        listener = stack.enter_context(listen(settings.listen.address, settings.listen.port))
        stack.enter_context(held(data.directory))
        log = settings.log.file or stack.enter_context(_log_of(app, settings, clock))
        databases = manifest.FILES if data.postgres is None else manifest.GIVEN
        require_complete(data.directory)
        manifest.claim(data.directory, manifest.MONOLITH, databases)
        subscriptions = subscriptions_of(app.services, about.subscriptions)
        system = await stack.enter_async_context(
            assembled(app.services, subscriptions, settings, clock, reachable(app.services, about))
        )
        if databases == manifest.GIVEN:
            manifest.record(data.directory, [one.name for one in app.services if one.migrations is not None])
        readiness = Readiness(system.calls.health)
        joining = await stack.enter_async_context(open_joining(system.calls, about, clock))
        opened = await stack.enter_async_context(
            open_gateway(app, system.calls, settings, clock, readiness, app.name, on_hangup, joining.directory)
        )
        await stack.enter_async_context(
            serving(opened.application, listener, settings.process.drain, limits=settings.http.limits, tls=tls)
        )
        metrics = await stack.enter_async_context(
            scraped(
                settings.process.metrics_port,
                system.calls.registry,
                readiness,
                settings.http.limits,
                settings.process.metrics_host,
            )
        )
        inspected = _inspected(app, system, opened.application.traffic, clock, metrics, settings, opened.routes)
        applications, address = Applications(joining.directory), address_of(listener)
        await stack.enter_async_context(controlling_system(data.directory, inspected, address, log, applications))
        await stack.enter_async_context(joining.at(data.directory))
        if settings.demo:
            await system.load_demo()
        stack.enter_context(readiness.on())
        yield RunningSystem(f"{settings.http.scheme}://{address}", system.hosted)


def _log_of(app: App, settings: Settings, clock: Clock) -> AbstractContextManager[Path]:
    """Keeps the log in the data directory, where `souk logs` looks for it, if no other file was named."""
    layout = DataLayout(settings.data.directory.resolve())
    make(layout.logs)
    return kept_log(layout.log(app.name), settings.log.limits, clock)


def _inspected(
    app: App,
    system: Assembled,
    traffic: Traffic,
    clock: Clock,
    metrics: str,
    settings: Settings,
    routes: LiveRoutes | None,
) -> Inspected:
    return Inspected(
        service=app.name,
        instance=app.name,
        breakers=system.calls.breakers,
        traffic=traffic,
        clock=clock,
        health=system.calls.health,
        version=settings.calls.discovery.version,
        metrics_address=metrics,
        rebuilds=system.rebuilds,
        sagas=system.saga_databases,
        databases=system.databases,
        accounts=system.accounts,
        records=system.records,
        at_broker=system.backlog.at_broker,
        faults=system.faults if settings.demo else None,
        fault_points=system.fault_points,
        routes=routes,
        spans=system.calls.spans,
        metrics=system.calls.registry,
    )
