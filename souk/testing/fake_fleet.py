"""A fake fleet without processes, which answers on control sockets, for tests of the control contracts."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from souk.admin.process_status import READY, SERVICE, STOPPED, ProcessView
from souk.admin.servicers.fleet import controlling_fleet
from souk.admin.servicers.process import Inspected, controlling
from souk.kernel.clock import SystemClock
from souk.kernel.errors import ConfigurationError
from souk.projections.rebuild import Rebuild
from souk.resilience.breaker.breaker import Breaker
from souk.runtime.calls.breaker_registry import Breakers
from souk.runtime.data.layout import DataLayout
from souk.telemetry.health import Health
from souk.telemetry.traffic import Traffic

CLOCK = SystemClock()
_NONE: Mapping[str, Rebuild] = MappingProxyType({})


@dataclass
class FakeProcess:
    """A process of the fake fleet; this process answers on its control socket, with breakers and traffic of its own."""

    view: ProcessView
    inspected: Inspected

    def breaker(self, callee: str, method: str = "") -> Breaker:
        """Adds a breaker around its calls to another service."""
        return self.inspected.breakers.add(self.view.service, callee, Breaker(), method=method)


@dataclass
class FakeFleet:
    """Implements `Supervised`. It records requests in `asked`; a restart waits until `gate` is set."""

    data: Path
    stack: AsyncExitStack
    views: list[ProcessView] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    away: str = ""
    health: Health = field(default_factory=lambda: Health(CLOCK))

    async def add(
        self, service: str, instance: str, pid: int | None = None, rebuilds: Mapping[str, Rebuild] = _NONE
    ) -> FakeProcess:
        """Adds a process that answers on its control socket."""
        layout = DataLayout(self.data)
        breakers = Breakers(CLOCK)
        inspected = Inspected(
            service, instance, breakers, Traffic(), CLOCK, self.health, version="1.2.3", away=lambda: self.away
        )
        inspected = replace(inspected, rebuilds=rebuilds)
        path = layout.of(instance)
        await self.stack.enter_async_context(controlling(path, inspected))
        view = replace(_view(self.data, service, instance), control=str(path), pid=pid or os.getpid())
        self.views.append(view)
        return FakeProcess(view, inspected)

    def add_engine(self, name: str, kind: str) -> None:
        """Adds a process without a control socket."""
        self.views.append(replace(_view(self.data, name, name), kind=kind, pid=1))

    def processes(self) -> list[ProcessView]:
        """Returns the processes that were added."""
        return list(self.views)

    async def scale(self, service: str, replicas: int) -> None:
        """Records the request."""
        self._ask(f"scale {service} {replicas}", service)

    async def restart(self, service: str, progress: Callable[[str], None]) -> None:
        """Records the request, reports progress, and ends once `gate` is set."""
        self._ask(f"restart {service}", service)
        progress(f"{service}: a new one starts")
        await self.gate.wait()
        progress(f"{service}: the old one has ended")
        self.asked.append(f"restarted {service}")

    async def stop(self, service: str) -> None:
        """Records the request and marks the service's processes as stopped."""
        self._ask(f"stop {service}", service)
        self.views = [
            replace(view, state=STOPPED, pid=None) if view.service == service else view for view in self.views
        ]

    async def start(self, service: str) -> None:
        """Records the request."""
        self._ask(f"start {service}", service)

    def _ask(self, what: str, service: str) -> None:
        if all(view.service != service for view in self.views):
            raise ConfigurationError(f"there is no service {service!r} here")
        self.asked.append(what)


def _view(data: Path, service: str, instance: str) -> ProcessView:
    return ProcessView(
        service=service,
        instance=instance,
        kind=SERVICE,
        state=READY,
        pid=None,
        address="127.0.0.1:1",
        restarts=0,
        started_at=CLOCK.now(),
        control="",
        log=DataLayout(data).log(instance),
        why="",
    )


@asynccontextmanager
async def fake_fleet(data: Path) -> AsyncIterator[FakeFleet]:
    """Serves a fake fleet on the control socket of a data directory."""
    layout = DataLayout(data)
    layout.prepare()
    async with AsyncExitStack() as stack:
        stack.callback(layout.forget_sockets)
        fleet = FakeFleet(data, stack)
        await stack.enter_async_context(controlling_fleet(layout.control, fleet, CLOCK))
        yield fleet
