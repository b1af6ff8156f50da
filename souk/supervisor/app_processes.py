"""The processes of the app, which need the engines: emulators, services, gateways."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from souk.admin.process_status import EMULATOR, GATEWAY, SERVICE
from souk.gateway.settings import GATEWAY_SERVICE
from souk.runtime.config.settings import Settings
from souk.runtime.data.layout import DataLayout
from souk.runtime.process.command import Command
from souk.runtime.service import App
from souk.supervisor.backing_processes import EngineUrls
from souk.supervisor.fleet import Fleet
from souk.supervisor.launch import (
    EmulatorProcess,
    LaunchCommands,
    Surroundings,
    called_with_events,
    needed_emulators,
)
from souk.supervisor.output.log_filter import without
from souk.supervisor.output.readiness import ready_line
from souk.supervisor.process_spec import ProcessSpec, SupervisorContext
from souk.supervisor.replica_set import ReplicaSet


@dataclass(frozen=True, slots=True)
class LaunchContext:
    """What the app's processes are launched with: the engines, the registry and the public socket, and the commands
    that start them."""

    engines: EngineUrls
    registry: str = field(repr=False)
    public: int
    commands: LaunchCommands


class AppProcesses:
    """Makes the replica sets of a fleet that are processes of the app, and starts them."""

    def __init__(
        self,
        app: App,
        settings: Settings,
        inherited: Mapping[str, str],
        layout: DataLayout,
        context: SupervisorContext,
        fleet: Fleet,
        launch: LaunchContext,
    ) -> None:
        self._settings = settings
        self._app, self._layout, self._context, self._fleet, self._launch = app, layout, context, fleet, launch
        self._emulators = needed_emulators(app.emulators, settings.services, layout)
        given = {name: text for one in self._emulators for name, text in one.settings(layout.data).items()}
        if launch.engines.broker is not None:
            given["BROKER"] = launch.engines.broker
        if subscriptions := called_with_events(app.services, settings):
            given["SUBSCRIPTIONS"] = subscriptions
        if settings.data.search is not None:
            given["SEARCH"] = settings.data.search
        self._around = Surroundings(
            inherited, settings.process, settings.demo, layout.data, launch.registry, launch.engines.redis, given
        )

    async def start(self, wanted: Mapping[str, int]) -> None:
        """Starts the `wanted` number of processes of each name, and returns when all take calls, however long it takes.

        The gateways start last, so that their requests find the services: as soon as each other process has taken
        calls, or has died, once.
        """
        replica_sets = [
            *(self._emulator(one) for one in self._emulators),
            *(self._service(service.name, wanted[service.name]) for service in self._app.services),
        ]
        gateway = self._gateway(wanted[GATEWAY_SERVICE])
        for replica_set in (*replica_sets, gateway):
            self._fleet.add(replica_set)
        for replica_set in replica_sets:
            replica_set.begin()
        await asyncio.gather(*(replica_set.attempted() for replica_set in replica_sets))
        gateway.begin()
        await asyncio.gather(*(replica_set.ready() for replica_set in (*replica_sets, gateway)))

    def _emulator(self, one: EmulatorProcess) -> ReplicaSet:
        name = one.emulator.name

        async def command() -> Command:
            one.socket.unlink(missing_ok=True)
            return one.command(self._layout.data, self._around.inherited)

        # The line with its address is not shown: its state shows the address.
        shown = without(bytes(one.socket))
        spec = ProcessSpec(name, name, EMULATOR, command, one.readiness, shown=shown)
        return ReplicaSet(name, EMULATOR, 1, lambda number: spec, self._context)

    def _service(self, name: str, replicas: int) -> ReplicaSet:
        own = {**self._launch.engines.databases.settings_of(name), **self._around.where_services_listen}
        return ReplicaSet(
            name, SERVICE, replicas, lambda number: self._serving(name, SERVICE, number, own), self._context
        )

    def _gateway(self, replicas: int) -> ReplicaSet:
        public = self._launch.public
        own = {"LISTEN_FD": str(public)}
        if (routes := self._settings.http.routes) is not None:
            own["ROUTES"] = str(routes.absolute())
        return ReplicaSet(
            GATEWAY_SERVICE,
            GATEWAY,
            replicas,
            lambda number: self._serving(GATEWAY_SERVICE, GATEWAY, number, own, public),
            self._context,
        )

    def _serving(self, name: str, kind: str, number: int, own: Mapping[str, str], *descriptors: int) -> ProcessSpec:
        instance = f"{name}-{number}"
        control = self._layout.of(instance)
        # Also for a service in another language, whose own SDK reads it.
        environment = {**self._around.of(instance, control, own), "OTEL_SERVICE_NAME": name}

        async def command() -> Command:
            control.unlink(missing_ok=True)
            return self._launch.commands.of(name, environment, *descriptors)

        return ProcessSpec(name, instance, kind, command, ready_line(name), control=str(control))
