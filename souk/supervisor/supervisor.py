"""Runs the whole system as a fleet of processes: `souk up --topology fleet`.

    data directory -> what an earlier supervisor left -> public socket -> engines, databases
                   -> registry, control -> emulators and services, then gateways -> /readyz -> ready

It ends in the opposite order: the public socket closes, gateways finish running requests, then services end, then
emulators, then engines.
"""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from souk.admin.applications import Applications
from souk.admin.process_record import ProcessesFile
from souk.admin.process_status import ProcessView
from souk.admin.servicers.fleet import controlling_fleet
from souk.discovery.embedded.server import serving_registry
from souk.discovery.open import directory_of
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError
from souk.runtime.checks import require_databases, require_sound
from souk.runtime.config.settings import Settings
from souk.runtime.data.directory import held, installation_secret
from souk.runtime.data.layout import DataLayout
from souk.runtime.process.background import supervised
from souk.runtime.process.sockets import address_of, listen
from souk.runtime.service import App
from souk.supervisor import orphans
from souk.supervisor.app_processes import AppProcesses, LaunchContext
from souk.supervisor.backing_processes import Engines
from souk.supervisor.capacity import replicas
from souk.supervisor.claimed_data import claimed
from souk.supervisor.fleet import Fleet
from souk.supervisor.launch import fitting
from souk.supervisor.output.readiness import answers_ready
from souk.supervisor.process_spec import SupervisorContext
from souk.supervisor.sidecars import sidecars_in
from souk.telemetry.proc import boot


class Screen(Protocol):
    """Shows a fleet to the user who started it."""

    def state(self, view: ProcessView) -> None:
        """Shows a change of a process's state."""
        ...

    def output(self, instance: str, lines: list[bytes]) -> None:
        """Shows lines that a process wrote."""
        ...

    def note(self, line: str) -> None:
        """Shows a message of the supervisor."""
        ...


@dataclass(frozen=True, slots=True)
class RunningFleet:
    """A fleet that is up, and its URL."""

    url: str
    fleet: Fleet


@asynccontextmanager
async def supervised_fleet(
    app: App, settings: Settings, inherited: Mapping[str, str], screen: Screen, fleet: Fleet, clock: Clock
) -> AsyncIterator[RunningFleet]:
    """Starts a fleet, which is ready inside the block; no process of it is left when the block ends.

    `inherited` are the environment variables of this process. Raises ConfigurationError, in one line, when a port,
    a directory, a name or an engine cannot be used.
    """
    _require_startable(app, settings)
    wanted = replicas(app.services, settings.fleet.scale)
    commands = fitting(settings.fleet.commands, app.services, inherited)
    orphans.adopt()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(orphans.end_all)
        layout = DataLayout(stack.enter_context(held(settings.data.directory)).resolve())
        data = stack.enter_context(claimed(layout, settings))
        record = ProcessesFile(layout.processes, boot())
        await _clean_up(record, screen)
        listener = stack.enter_context(listen(settings.listen.address, settings.listen.port))
        layout.prepare()
        stack.callback(layout.forget_sockets)
        context = SupervisorContext(
            clock,
            record,
            layout.log,
            _on_state(fleet, screen),
            screen.output,
            log_limits=settings.log.limits,
            longest_start=settings.fleet.start_limit,
        )
        background = await stack.enter_async_context(supervised(clock))
        background.start("orphans", orphans.collect)
        stack.push_async_callback(fleet.end)
        engines = await Engines(settings.data, layout, context, fleet).start(app.services, wanted, settings.events)
        data.opened(engines.databases.urls)
        fleet.admit = engines.databases.admit
        secret = installation_secret(layout.data)
        registry = settings.calls.discovery.registry
        if registry is None:
            registry = (await stack.enter_async_context(serving_registry(layout.registry, clock))).url
        # Pushed again, so that the fleet ends before the registry does: services leave it as they drain.
        stack.push_async_callback(fleet.end)
        joined = Applications(await stack.enter_async_context(directory_of(registry, clock)))
        await stack.enter_async_context(controlling_fleet(layout.control, fleet, clock, joined, fleet))
        stack.callback(listener.close)
        mesh = sidecars_in(layout, secret, registry, app.services, settings) if settings.fleet.mesh else None
        launch = LaunchContext(engines, registry, listener.fileno(), commands, mesh)
        await AppProcesses(app, settings, inherited, layout, context, fleet, launch).start(wanted)
        await answers_ready(address_of(listener), tls=settings.http.certificate is not None)
        yield RunningFleet(f"{settings.http.scheme}://{address_of(listener)}", fleet)


def _require_startable(app: App, settings: Settings) -> None:
    if not hasattr(os, "pidfd_open"):
        raise ConfigurationError("a fleet needs Linux; leave out --topology to have everything in one process")
    require_sound(app.services)
    require_databases(app.services, settings)


def _on_state(fleet: Fleet, screen: Screen) -> Callable[[ProcessView], None]:
    def report(view: ProcessView) -> None:
        screen.state(view)
        fleet.notify()

    return report


async def _clean_up(record: ProcessesFile, screen: Screen) -> None:
    """Ends the processes that a killed supervisor has left, so that their ports and data are free."""
    left = record.left_behind()
    if left:
        screen.note(
            f"an earlier start was killed; stopping the processes that it left: {', '.join(one.name for one in left)}"
        )
        await orphans.end(left)
