"""Opens the gateway as every process serves it: with limits, the console, and files that are read again."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from souk.discovery.directory import Directory
from souk.gateway.routing.live import LiveRoutes
from souk.gateway.settings import GATEWAY_SERVICE
from souk.hosting.gateway.app import DrainingApp, console, gateway
from souk.hosting.gateway.limits import opened_limits, watched_gate
from souk.hosting.gateway.live_callers import live_callers
from souk.hosting.gateway.live_routes import OnHangup, live_routes
from souk.hosting.hosted_service import secret_of
from souk.kernel.clock import Clock
from souk.runtime.calls.channels import Calls
from souk.runtime.config.settings import Settings
from souk.runtime.process.ops_http import Readiness
from souk.runtime.service import App


@dataclass(frozen=True, slots=True)
class OpenedGateway:
    """The application that is served, and the routes of the file, if there is one."""

    application: DrainingApp
    routes: LiveRoutes | None


@asynccontextmanager
async def open_gateway(
    app: App,
    calls: Calls,
    settings: Settings,
    clock: Clock,
    readiness: Readiness,
    process: str,
    on_hangup: OnHangup | None,
    directory: Directory | None = None,
) -> AsyncIterator[OpenedGateway]:
    """Makes the gateway of the process `process`; what runs beside it runs inside the block.

    `directory` finds what the routes file names and what joins; without it, that of the calls does. Raises
    ConfigurationError, in one line, when a setting or a file is not as it must be.
    """
    http, secret = settings.http, secret_of(settings.calls, settings.data.directory)
    async with AsyncExitStack() as stack:
        limits = await stack.enter_async_context(opened_limits(settings, clock, calls.tracer(GATEWAY_SERVICE)))
        overload = await stack.enter_async_context(watched_gate(settings, clock))
        made = gateway(app, calls, http, clock, readiness, demo=settings.demo, limits=limits, overload=overload)
        await stack.enter_async_context(console(made, app, settings, secret, clock, process, readiness))
        routes = await stack.enter_async_context(live_routes(made, calls, http, clock, on_hangup, directory))
        await stack.enter_async_context(live_callers(made, http.client_callers, clock))
        yield OpenedGateway(DrainingApp(made), routes)
