"""The gateway, put before the services of an app."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from souk.descriptors.contract import contract_of
from souk.gateway.app import Gateway
from souk.gateway.settings import GatewaySettings
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError
from souk.runtime.calls.channels import Calls
from souk.runtime.config.settings import Settings
from souk.runtime.service import App
from souk.telemetry.health import Health

NAME = "gateway"
"""What the gateway calls itself when it calls services."""


def _at_once() -> bool:
    return True


@dataclass(slots=True)
class Readiness:
    """Whether this process takes requests: it was switched on, `settled` has been true once, and nothing that
    blocks is wrong in `health`. What it depends on may be away: what needs that is refused, and the rest answered."""

    health: Health
    settled: Callable[[], bool] = _at_once
    ready: bool = False
    _has_settled: bool = False

    async def __call__(self) -> bool:
        self._has_settled = self._has_settled or (self.ready and self.settled())
        return self.ready and self._has_settled and self.health.ready

    @contextmanager
    def on(self) -> Iterator[None]:
        """Ready inside the block."""
        self.ready = True
        try:
            yield
        finally:
            self.ready = False


def gateway(app: App, calls: Calls, settings: Settings, clock: Clock, ready: Readiness) -> Gateway:
    """An ASGI application with every public route of the app's contracts.

    Every service that a route leads to is looked for from the start, not at its first request: by then the
    registry may be away. Raises ConfigurationError, in one line, for contracts that no route can be made of.
    """
    contracts = [contract_of(service.contract) for service in app.services]
    calls.look_for(method.service for one in contracts for method in one.methods.values() if method.http)
    try:
        return Gateway(
            contracts=contracts,
            channel_of=calls.of(NAME),
            issuer=app.identity,
            settings=GatewaySettings(
                title=app.name.capitalize(), trusted_proxies=settings.trusted_proxies, metrics=settings.demo
            ),
            clock=clock,
            ready=ready,
            registry=calls.registry,
            health=calls.health,
        )
    except ValueError as error:
        raise ConfigurationError(f"the contracts of {app.name} make no API: {error}") from error
