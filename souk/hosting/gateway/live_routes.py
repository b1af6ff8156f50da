"""The routes of a gateway beside those of contracts, kept up to date while it runs: of the routes file, if there is
one, and of the applications that have joined the system."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial

from souk.discovery.directory import Directory
from souk.gateway.app import Gateway
from souk.gateway.proxy.metrics import UpstreamMetrics
from souk.gateway.proxy.settings import UpstreamSettings
from souk.gateway.proxy.upstream import Upstream
from souk.gateway.routing.announcement import ADOPTED, Announcement, announced, with_applications
from souk.gateway.routing.live import LiveRoutes
from souk.gateway.routing.model import Finding, RoutesFile, RoutesFileRefused, UpstreamSpec
from souk.gateway.settings import GATEWAY_SERVICE
from souk.kernel.clock import Clock
from souk.runtime.calls.channels import Calls
from souk.runtime.config.settings import HttpSettings
from souk.runtime.process.background import supervised
from souk.telemetry.logs import logger

OnHangup = Callable[[Callable[[], object]], None]
"""Sets what happens at SIGHUP."""
UPSTREAM = "upstream/{}"
"""The callee of an upstream's breaker, by the upstream's name, which may be that of a service."""

_log = logger("gateway")


class RouteUpstreams:
    """Puts routes into force. An upstream that the next ones have, too, is kept, with its connections and its health.

    `directory` finds the instances of services. `calls` signs the tokens that say to services who calls.
    """

    def __init__(
        self, gateway: Gateway, calls: Calls, directory: Directory, settings: HttpSettings, clock: Clock
    ) -> None:
        self._gateway, self._calls, self._settings, self._clock = gateway, calls, settings, clock
        self._directory = directory
        self._tokens = calls.tokens(GATEWAY_SERVICE)
        self._known: dict[UpstreamSpec, Upstream] = {}
        self._metrics = UpstreamMetrics(calls.registry, clock.monotonic)
        self._file: RoutesFile | None = None
        self._applications: tuple[Announcement, ...] = ()

    async def use(self, file: RoutesFile) -> None:
        """Puts a file into force. Raises RoutesFileRefused, and changes nothing, when it does not fit."""
        await self._apply(file, self._applications)

    async def adopt(self, applications: tuple[Announcement, ...]) -> None:
        """Puts the routes to these applications into force, and no others to applications."""
        before = self._applications
        await self._apply(self._file, applications)
        for one in sorted({*before, *applications}):
            if (one in before) != (one in applications):
                what = "an application has left" if one in before else "an application has joined"
                _log.info(what, service=one.service, path=one.prefix, access=one.access)

    def _show(self, before: Collection[Upstream], now: Collection[Upstream]) -> None:
        """Lists the breakers of the upstreams that are in force, and measures these upstreams."""
        self._metrics.show(now)
        for one in before:
            if one not in now and not one.through_sidecar:
                self._calls.unguard(GATEWAY_SERVICE, UPSTREAM.format(one.name))
        for one in now:
            if one not in before and not one.through_sidecar:
                self._calls.guard(GATEWAY_SERVICE, UPSTREAM.format(one.name), one.breaker)

    async def close(self) -> None:
        """Ends the connections that are kept."""
        await _close(self._known.values())

    async def _apply(self, file: RoutesFile | None, applications: tuple[Announcement, ...]) -> None:
        whole = with_applications(file, applications)
        made: dict[UpstreamSpec, Upstream] = {}
        specs = () if whole is None else whole.upstreams
        for spec in specs:
            where = replace(spec, line=0)
            made[where] = self._known.get(where) or self._made(spec, "" if file is None else file.path)
        try:
            self._gateway.use_routes(whole, {one.name: one for one in made.values()})
        except RoutesFileRefused:
            await _close(one for where, one in made.items() if where not in self._known)
            raise
        self._file, self._applications = file, applications
        before, self._known = self._known, made
        self._show(before.values(), made.values())
        await _close(one for where, one in before.items() if where not in made)

    def _made(self, spec: UpstreamSpec, path: str) -> Upstream:
        limits, sidecar = UpstreamSettings.of(spec.limits), self._calls.sidecar if spec.service else ""
        upstream = Upstream(
            spec.name,
            self._clock,
            settings=limits.beside_sidecar if sidecar else limits,
            trusted=self._settings.trusted_proxies,
            metrics=self._metrics,
            http2=spec.http2,
            tracer=self._calls.tracer(GATEWAY_SERVICE),
        )
        if not spec.service:
            try:
                return upstream.listed(spec.urls)
            except ValueError as error:
                raise RoutesFileRefused(path, [Finding(spec.line, 1, str(error))]) from error
        if sidecar:
            return upstream.through(sidecar, spec.service, self._tokens)
        return upstream.discovered(self._directory, spec.service, self._tokens)


async def _close(upstreams: Iterable[Upstream]) -> None:
    for one in upstreams:
        await one.close()


async def _follow(upstreams: RouteUpstreams, directory: Directory, changed: asyncio.Event) -> None:
    """Keeps the routes to applications as the registry has them, until it is cancelled."""
    while True:
        changed.clear()
        applications, unread = announced(directory.instances(ADOPTED))
        if unread:
            _log.warning("what an application says of itself cannot be read; it has no route", instances=unread)
        await upstreams.adopt(applications)
        await changed.wait()


@asynccontextmanager
async def live_routes(
    gateway: Gateway,
    calls: Calls,
    settings: HttpSettings,
    clock: Clock,
    on_hangup: OnHangup | None,
    directory: Directory | None = None,
) -> AsyncIterator[LiveRoutes | None]:
    """Puts the routes file of the settings into force, and reads it again inside the block; None without a file.

    Applications that join get a route meanwhile. `directory` finds them, and the services that the file names; without
    it, that of the calls does. Raises RoutesFileRefused when the file is wrong at the start.
    """
    directory = directory or calls.directory
    upstreams = RouteUpstreams(gateway, calls, directory, settings, clock)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(upstreams.close)
        background = await stack.enter_async_context(supervised(clock))
        live = None
        if settings.routes is not None:
            live = LiveRoutes(settings.routes, upstreams.use, calls.registry)
            await live.start()
            background.start("routes file", live.watch)
            if on_hangup is not None:
                on_hangup(live.ask)
        changed = asyncio.Event()
        stack.callback(directory.on_change(ADOPTED, lambda _: changed.set()))
        background.start("applications", partial(_follow, upstreams, directory, changed))
        yield live
