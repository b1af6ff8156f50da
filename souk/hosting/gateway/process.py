"""Runs the gateway as a process of its own: `souk serve gateway`.

Apart from what runs a service, whose process needs nothing of the gateway and its console.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from souk.admin.servicers.process import controlling
from souk.gateway.settings import GATEWAY_SERVICE
from souk.hosting.gateway.live_routes import OnHangup
from souk.hosting.gateway.opening import open_gateway
from souk.hosting.hosted_service import secret_of
from souk.hosting.inspected_process import inspected_process
from souk.hosting.telemetry import open_telemetry
from souk.kernel.clock import Clock
from souk.runtime.calls.channels import Calls, open_calls
from souk.runtime.calls.dependencies import has_room, is_same
from souk.runtime.calls.registration import instance_id
from souk.runtime.checks import require_sound
from souk.runtime.config.settings import DiscoverySettings, Settings
from souk.runtime.data import manifest
from souk.runtime.data.directory import make_closed
from souk.runtime.process.http.server import serving
from souk.runtime.process.http.tls import server_tls
from souk.runtime.process.ops_http import Readiness, scraped
from souk.runtime.process.sockets import address_of, inherited, listen
from souk.runtime.service import App

SETTLING = 5.0
"""Seconds that a gateway waits at its start for an instance of every service, before it is ready without them."""


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
        name = instance_id(GATEWAY_SERVICE, about)
        telemetry = await stack.enter_async_context(open_telemetry(settings, clock, GATEWAY_SERVICE, name))
        opening = open_calls(secret, (), settings.calls, clock, tracing=telemetry.tracing)
        calls = await stack.enter_async_context(opening)
        calls.registry.register(telemetry.logs)
        calls.health.watch("disk", has_room(directory))
        calls.health.watch("data directory", is_same([directory]), blocks=True)
        readiness = Readiness(calls.health, _settled(app, calls, about, clock))
        opened = await stack.enter_async_context(open_gateway(app, calls, settings, clock, readiness, name, on_hangup))
        metrics = await stack.enter_async_context(
            scraped(
                settings.process.metrics_port,
                calls.registry,
                readiness,
                settings.http.limits,
                settings.process.metrics_host,
            )
        )
        inspected = inspected_process(GATEWAY_SERVICE, calls, opened.application.traffic, about, clock, metrics)
        inspected = replace(inspected, routes=opened.routes)
        await stack.enter_async_context(controlling(settings.process.control, inspected))
        await stack.enter_async_context(
            serving(
                opened.application,
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
