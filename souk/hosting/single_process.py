"""Runs one service, or the gateway, as a process of its own: `souk serve`.

A service is assembled by the same code as in a system of one process; it differs only in that it calls services in
other processes, and takes calls from them.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from souk.admin.servicers.process import Inspected, controlling
from souk.gateway.settings import GATEWAY_SERVICE
from souk.hosting.assembly import assembled
from souk.hosting.event_routing import Subscriptions
from souk.hosting.gateway_app import DrainingApp, gateway
from souk.hosting.gateway_limits import opened_limits, watched_gate
from souk.hosting.hosted_service import secret_of
from souk.hosting.live_routes import OnHangup, live_routes
from souk.kernel.clock import Clock
from souk.runtime.calls.channels import Calls, open_calls
from souk.runtime.calls.dependencies import has_room, is_same
from souk.runtime.calls.registration import instance_id, present
from souk.runtime.calls.service_address import service_address
from souk.runtime.checks import ANYBODY, reachable, require_sound
from souk.runtime.config.settings import DiscoverySettings, Settings
from souk.runtime.data import manifest
from souk.runtime.data.directory import make_closed
from souk.runtime.process.http.server import serving
from souk.runtime.process.http.tls import server_tls
from souk.runtime.process.ops_http import Readiness, scraped
from souk.runtime.process.sockets import address_of, inherited, listen
from souk.runtime.service import App, Service
from souk.telemetry.tracing.tracing import open_tracing
from souk.telemetry.traffic import Traffic

SETTLING = 5.0
"""Seconds that a gateway waits at its start for an instance of every service, before it is ready without them."""


@asynccontextmanager
async def service_process(
    service: Service, subscriptions: Subscriptions, settings: Settings, clock: Clock, app: App | None = None
) -> AsyncIterator[str]:
    """Serves one service at the address that its settings give.

    Gives that address, unix:PATH or host:port, once the service takes calls. `app` is the app that the service
    belongs to, if that is known.
    """
    data, about = settings.data, settings.calls.discovery
    callees = ANYBODY if app is None else reachable(app.services, about)
    async with AsyncExitStack() as stack:
        make_closed(data.directory)
        manifest.require_fit(data.directory, manifest.FILES if data.postgres is None else manifest.ON_A_SERVER)
        process = await stack.enter_async_context(assembled((service,), subscriptions, settings, clock, callees))
        if settings.demo:
            await process.load_demo()
        calls = process.calls
        readiness = Readiness(calls.health)
        metrics = await stack.enter_async_context(
            scraped(settings.process.metrics_port, calls.registry, readiness, settings.http.limits)
        )
        inspected = _inspected(service.name, calls, calls.traffic(service.name), about, clock, metrics)
        inspected = replace(inspected, rebuilds=process.rebuilds, sagas=process.saga_databases)
        await stack.enter_async_context(controlling(settings.process.control, inspected))
        where = service_address(inspected.instance, data.directory, settings.listen, settings.calls)
        here = await stack.enter_async_context(
            calls.listening(service.name, stack.enter_context(where), settings.process.drain)
        )
        await stack.enter_async_context(
            present(calls.discovery, service.name, inspected.instance, here.address, about, here.speaks)
        )
        stack.enter_context(readiness.on())
        yield here.address


@asynccontextmanager
async def gateway_process(
    app: App, settings: Settings, clock: Clock, on_hangup: OnHangup | None = None
) -> AsyncIterator[str]:
    """Serves the gateway alone, with services in other processes behind it; gives its address, as host:port.

    With a routes file, `on_hangup` is given what is to happen at SIGHUP.
    """
    require_sound(app.services)
    directory, about = settings.data.directory, settings.calls.discovery
    async with AsyncExitStack() as stack:
        descriptor = settings.listen.descriptor
        listener = stack.enter_context(
            listen(settings.listen.address, settings.listen.port) if descriptor is None else inherited(descriptor)
        )
        make_closed(directory)
        manifest.read(directory)  # raises if a newer version wrote it
        secret = secret_of(settings.calls, directory)
        instance = {"service.instance.id": instance_id(GATEWAY_SERVICE, about)}
        tracing = await stack.enter_async_context(open_tracing(settings.tracing, clock, instance))
        calls = await stack.enter_async_context(open_calls(secret, (), settings.calls, clock, tracing=tracing))
        calls.health.watch("disk", has_room(directory))
        calls.health.watch("data directory", is_same([directory]), blocks=True)
        readiness = Readiness(calls.health, _settled(app, calls, about, clock))
        limits = await stack.enter_async_context(opened_limits(settings, clock))
        overload = await stack.enter_async_context(watched_gate(settings, clock))
        application = gateway(
            app, calls, settings.http, clock, readiness, metrics=settings.demo, limits=limits, overload=overload
        )
        routes = await stack.enter_async_context(live_routes(application, calls, settings.http, clock, on_hangup))
        draining = DrainingApp(application)
        metrics = await stack.enter_async_context(
            scraped(settings.process.metrics_port, calls.registry, readiness, settings.http.limits)
        )
        inspected = _inspected(GATEWAY_SERVICE, calls, draining.traffic, about, clock, metrics)
        inspected = replace(inspected, routes=routes)
        await stack.enter_async_context(controlling(settings.process.control, inspected))
        await stack.enter_async_context(
            serving(
                draining,
                listener,
                settings.process.drain,
                shared=descriptor is not None,
                limits=settings.http.limits,
                tls=server_tls(settings.http.certificate),
            )
        )
        stack.enter_context(readiness.on())
        yield address_of(listener)


def _settled(app: App, calls: Calls, settings: DiscoverySettings, clock: Clock) -> Callable[[], bool]:
    """Makes the function that tells whether the registry has had time to name the instances. A service of which none
    is known after SETTLING seconds does not keep the gateway from serving the others."""
    until = clock.monotonic() + SETTLING

    def settled() -> bool:
        if settings.registry is None:
            return True
        if clock.monotonic() >= until:
            return not calls.directory.away
        return all(calls.directory.instances(service.name) for service in app.services)

    return settled


def _inspected(
    name: str, calls: Calls, traffic: Traffic, settings: DiscoverySettings, clock: Clock, metrics: str
) -> Inspected:
    return Inspected(
        service=name,
        instance=instance_id(name, settings),
        breakers=calls.breakers,
        traffic=traffic,
        clock=clock,
        health=calls.health,
        version=settings.version,
        away=lambda: calls.directory.away,
        metrics_address=metrics,
    )
