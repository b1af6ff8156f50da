"""Builds the gateway in front of the services of an app."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from souk.console.control import ControlSocket
from souk.console.opening import mount_console
from souk.console.telemetry.gathering.opening import gathering
from souk.descriptors.contract import contract_of
from souk.gateway.app import Gateway
from souk.gateway.docs.settings import DocsSettings
from souk.gateway.limits.limiter import RateLimits
from souk.gateway.overload.gate import OverloadGate
from souk.gateway.settings import GATEWAY_SERVICE, MEBIBYTE, GatewaySettings
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError
from souk.runtime.calls.channels import Calls
from souk.runtime.config.certificate_callers import read_certificate_callers
from souk.runtime.config.issuers import read_issuers
from souk.runtime.config.settings import HttpSettings, Settings
from souk.runtime.process.ops_http import Readiness
from souk.runtime.service import App, speakers_of
from souk.telemetry.traffic import Traffic


def gateway(
    app: App,
    calls: Calls,
    settings: HttpSettings,
    clock: Clock,
    ready: Readiness,
    *,
    demo: bool,
    limits: RateLimits | None = None,
    overload: OverloadGate | None = None,
) -> Gateway:
    """Makes an ASGI application with every public route of the app's contracts, and with `demo` also /metrics, and the
    demo accounts on the API's page.

    Every service that a route leads to is watched in the registry from the start, not from its first request: by
    then the registry may be unreachable. Raises ConfigurationError, in one line, when the contracts make no routes.
    """
    contracts = [contract_of(service.contract) for service in app.services]
    calls.watch_services(method.service for one in contracts for method in one.methods.values() if method.http)
    try:
        return Gateway(
            contracts=contracts,
            channel_of=calls.of(GATEWAY_SERVICE),
            issuer=app.token_issuer,
            settings=GatewaySettings(
                title=app.name.capitalize(),
                trusted_proxies=settings.trusted_proxies,
                metrics=demo,
                issuers=read_issuers(settings.issuers),
                cors_origins=settings.cors_origins,
                certificates=read_certificate_callers(settings.client_callers),
                read_cache=settings.read_cache,
                read_cache_bytes=settings.read_cache_mb * MEBIBYTE,
                docs=DocsSettings(app.demo_logins if demo else {}, app.python_client),
            ),
            clock=clock,
            ready=ready,
            registry=calls.registry,
            health=calls.health,
            limits=limits,
            overload=overload,
            speakers=speakers_of(app.services),
            tracer=calls.tracer(GATEWAY_SERVICE),
        )
    except ValueError as error:
        raise ConfigurationError(f"the contracts of {app.name} make no API: {error}") from error


@asynccontextmanager
async def console(
    gateway: Gateway, app: App, settings: Settings, secret: bytes, clock: Clock, process: str, readiness: Readiness
) -> AsyncIterator[None]:
    """Mounts the console at the gateway of `process`, and gathers its data inside the block, unless the settings switch
    it off. `secret` is the installation's. Once `readiness` is switched off, streams to pages end."""
    if not settings.console.on:
        yield
        return
    data = settings.data.directory
    async with gathering(data, settings.console, clock, process) as telemetry:
        mount_console(gateway, ControlSocket(data), telemetry, app, secret, clock, lambda: readiness.ready)
        yield


Application: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]


class DrainingApp:
    """An ASGI application between the HTTP server and the gateway, which counts requests in `traffic`."""

    def __init__(self, application: Application) -> None:
        self.traffic = Traffic()
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Counts a request and passes it on, as ASGI 3 specifies."""
        with self.traffic:
            await self._application(scope, receive, send)
