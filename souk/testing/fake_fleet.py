"""A fleet that starts nothing: what a supervisor tells of it and is asked, for tests of the control contracts."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from souk.admin.fleet_servicer import controlling_fleet
from souk.admin.process_servicer import Inspected, controlling
from souk.admin.process_status import READY, SERVICE, STOPPED, ProcessView
from souk.kernel.clock import SystemClock
from souk.kernel.errors import ConfigurationError
from souk.resilience.breaker import Breaker
from souk.runtime.calls.breaker_registry import Breakers
from souk.runtime.data.layout import DataLayout
from souk.telemetry.health import Health
from souk.telemetry.traffic import Traffic

CLOCK = SystemClock()


@dataclass
class FakeProcess:
    """A process that is this one: its control socket answers, with breakers and traffic of its own."""

    view: ProcessView
    inspected: Inspected

    def breaker(self, callee: str, method: str = "") -> Breaker:
        """A breaker around its calls to another service."""
        return self.inspected.breakers.add(self.view.service, callee, Breaker(), method=method)


@dataclass
class FakeFleet:
    """Remembers what it was asked; `gate` holds a restart up while it is not set."""

    data: Path
    stack: AsyncExitStack
    views: list[ProcessView] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    away: str = ""
    health: Health = field(default_factory=lambda: Health(CLOCK))

    async def add(self, service: str, instance: str, pid: int | None = None) -> FakeProcess:
        """One process more, which answers on its control socket."""
        layout = DataLayout(self.data)
        breakers = Breakers(CLOCK)
        inspected = Inspected(
            service, instance, breakers, Traffic(), CLOCK, self.health, version="1.2.3", away=lambda: self.away
        )
        path = layout.of(instance)
        await self.stack.enter_async_context(controlling(path, inspected))
        view = replace(_view(self.data, service, instance), control=str(path), pid=pid or os.getpid())
        self.views.append(view)
        return FakeProcess(view, inspected)

    def add_engine(self, name: str, kind: str) -> None:
        """One process more, which cannot be asked."""
        self.views.append(replace(_view(self.data, name, name), kind=kind, pid=1))

    def processes(self) -> list[ProcessView]:
        """See `Supervised`."""
        return list(self.views)

    async def scale(self, service: str, replicas: int) -> None:
        """See `Supervised`."""
        self._ask(f"scale {service} {replicas}", service)

    async def restart(self, service: str, progress: Callable[[str], None]) -> None:
        """See `Supervised`."""
        self._ask(f"restart {service}", service)
        progress(f"{service}: a new one starts")
        await self.gate.wait()
        progress(f"{service}: the old one has ended")
        self.asked.append(f"restarted {service}")

    async def stop(self, service: str) -> None:
        """See `Supervised`."""
        self._ask(f"stop {service}", service)
        self.views = [
            replace(view, state=STOPPED, pid=None) if view.service == service else view for view in self.views
        ]

    async def start(self, service: str) -> None:
        """See `Supervised`."""
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
    """A fleet on a data directory, which can be operated there."""
    layout = DataLayout(data)
    layout.prepare()
    async with AsyncExitStack() as stack:
        stack.callback(layout.forget_sockets)
        fleet = FakeFleet(data, stack)
        await stack.enter_async_context(controlling_fleet(layout.control, fleet, CLOCK))
        yield fleet
