"""The routes file of a gateway: its upstreams, and how it is kept up to date while the gateway runs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager

from souk.gateway.app import Gateway
from souk.gateway.proxy.metrics import UpstreamMetrics
from souk.gateway.proxy.upstream import Upstream
from souk.gateway.routing.live import LiveRoutes
from souk.gateway.routing.model import Finding, RoutesFile, RoutesFileRefused, UpstreamSpec
from souk.gateway.settings import GATEWAY_SERVICE
from souk.kernel.clock import Clock
from souk.runtime.calls.channels import Calls
from souk.runtime.config.settings import HttpSettings

OnHangup = Callable[[Callable[[], object]], None]
"""Sets what happens at SIGHUP."""
UPSTREAM = "upstream/{}"
"""The callee of an upstream's breaker, by the upstream's name, which may be that of a service."""
_Where = tuple[str, tuple[str, ...], str, bool]


class RouteUpstreams:
    """Puts files into force. An upstream that the next file has, too, is kept, with its connections and its health."""

    def __init__(self, gateway: Gateway, calls: Calls, settings: HttpSettings, clock: Clock) -> None:
        self._gateway, self._calls, self._settings, self._clock = gateway, calls, settings, clock
        self._known: dict[_Where, Upstream] = {}
        self._metrics = UpstreamMetrics(calls.registry, clock.monotonic)

    async def use(self, file: RoutesFile) -> None:
        """Puts a file into force. Raises RoutesFileRefused, and changes nothing, when it does not fit."""
        made: dict[_Where, Upstream] = {}
        for spec in file.upstreams:
            where = (spec.name, spec.urls, spec.service, spec.http2)
            made[where] = self._known.get(where) or self._made(spec, file.path)
        try:
            self._gateway.use_routes(file, {one.name: one for one in made.values()})
        except RoutesFileRefused:
            await _close(one for where, one in made.items() if where not in self._known)
            raise
        before, self._known = self._known, made
        self._show(before.values(), made.values())
        await _close(one for where, one in before.items() if where not in made)

    def _show(self, before: Collection[Upstream], now: Collection[Upstream]) -> None:
        """Lists the breakers of the upstreams that are in force, and measures these upstreams."""
        self._metrics.show(now)
        for one in before:
            if one not in now:
                self._calls.unguard(GATEWAY_SERVICE, UPSTREAM.format(one.name))
        for one in now:
            if one not in before:
                self._calls.guard(GATEWAY_SERVICE, UPSTREAM.format(one.name), one.breaker)

    async def close(self) -> None:
        """Ends the connections that are kept."""
        await _close(self._known.values())

    def _made(self, spec: UpstreamSpec, path: str) -> Upstream:
        upstream = Upstream(
            spec.name, self._clock, trusted=self._settings.trusted_proxies, metrics=self._metrics, http2=spec.http2
        )
        if not spec.service:
            try:
                return upstream.listed(spec.urls)
            except ValueError as error:
                raise RoutesFileRefused(path, [Finding(spec.line, 1, str(error))]) from error
        self._calls.watch_services([spec.service])
        return upstream.discovered(self._calls.directory, spec.service)


async def _close(upstreams: Iterable[Upstream]) -> None:
    for one in upstreams:
        await one.close()


@asynccontextmanager
async def live_routes(
    gateway: Gateway, calls: Calls, settings: HttpSettings, clock: Clock, on_hangup: OnHangup | None
) -> AsyncIterator[LiveRoutes | None]:
    """Puts the routes file of the settings into force, and reads it again inside the block; None without a file.

    Raises RoutesFileRefused when it is wrong at the start.
    """
    if settings.routes is None:
        yield None
        return
    upstreams = RouteUpstreams(gateway, calls, settings, clock)
    live = LiveRoutes(settings.routes, upstreams.use, calls.registry)
    await live.start()
    watching = asyncio.create_task(live.watch(), name="routes file")
    if on_hangup is not None:
        on_hangup(live.ask)
    try:
        yield live
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await upstreams.close()
