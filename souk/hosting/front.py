"""The gateway, put before the services of an app."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from souk.descriptors.contract import contract_of
from souk.gateway.app import Gateway
from souk.gateway.settings import GatewaySettings
from souk.hosting.calls import Calls
from souk.hosting.service import App
from souk.kernel.clock import Clock

NAME = "gateway"
"""What the gateway calls itself when it calls services."""


@dataclass(slots=True)
class Readiness:
    """Whether the system takes requests."""

    ready: bool = False

    async def __call__(self) -> bool:
        return self.ready

    @contextmanager
    def on(self) -> Iterator[None]:
        """Ready inside the block."""
        self.ready = True
        try:
            yield
        finally:
            self.ready = False


def gateway(app: App, calls: Calls, clock: Clock, ready: Readiness) -> Gateway:
    """An ASGI application with every public route of the app's contracts."""
    return Gateway(
        contracts=[contract_of(service.contract) for service in app.services],
        channel_of=calls.of(NAME),
        issuer=app.identity,
        settings=GatewaySettings(title=app.name.capitalize()),
        clock=clock,
        ready=ready,
        registry=calls.registry,
    )
