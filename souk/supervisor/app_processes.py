"""The processes of the app, which need the engines: emulators, services, gateways."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from souk.admin.process_status import EMULATOR, GATEWAY, MESH, SERVICE
from souk.admin.servicers.versions import VersionLaunch
from souk.gateway.settings import GATEWAY_SERVICE
from souk.mesh.policy.reading import policy_path
from souk.runtime.config.settings import Settings
from souk.runtime.data.layout import DataLayout
from souk.runtime.process.command import Command
from souk.runtime.service import App
from souk.supervisor.backing_processes import EngineUrls
from souk.supervisor.fleet import Fleet
from souk.supervisor.isolation.destinations import Destination
from souk.supervisor.isolation.egress import Egress
from souk.supervisor.isolation.pod_network import PodNetwork
from souk.supervisor.launch import (
    VERSION,
    EmulatorProcess,
    LaunchCommands,
    Surroundings,
    called_with_events,
    named_after,
    needed_emulators,
)
from souk.supervisor.output.log_filter import without
from souk.supervisor.output.readiness import ready_line
from souk.supervisor.process_spec import ProcessSpec, SupervisorContext
from souk.supervisor.replica_set import ReplicaSet
from souk.supervisor.sidecars import Sidecars, control_plane_set


@dataclass(frozen=True, slots=True)
class LaunchContext:
    """What the app's processes are launched with: the engines, the registry and the public socket, the commands that
    start them, and the sidecars beside them if there is a mesh."""

    engines: EngineUrls
    registry: str = field(repr=False)
    public: int
    commands: LaunchCommands
    sidecars: Sidecars | None = None


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
        if self._launch.sidecars is not None:
            self._fleet.versions = self
            control_plane = self._fleet.add(self._control_plane())
            control_plane.begin()
            await control_plane.ready()
        for replica_set in (*replica_sets, gateway):
            self._fleet.add(replica_set)
        for replica_set in replica_sets:
            replica_set.begin()
        await asyncio.gather(*(replica_set.attempted() for replica_set in replica_sets))
        gateway.begin()
        await asyncio.gather(*(replica_set.ready() for replica_set in (*replica_sets, gateway)))

    def beside(self, launch: VersionLaunch) -> ReplicaSet:
        """Makes the processes of a version beside those of its service. Raises ConfigurationError, in one line, for a
        launch that cannot be."""
        spec = self._of_version(launch, named_after(launch))
        return ReplicaSet(f"{launch.service}@{launch.version}", SERVICE, launch.instances, spec, self._context)

    def instead(self, launch: VersionLaunch) -> Callable[[int], ProcessSpec]:
        """Makes the specs by which the service's own processes are of a version."""
        return self._of_version(launch, launch.service)

    def _of_version(self, launch: VersionLaunch, named: str) -> Callable[[int], ProcessSpec]:
        commands = self._launch.commands.for_version(launch, self._around.inherited)
        own = self._own(launch.service)
        variables = {**launch.settings, VERSION: launch.version}

        def spec(number: int) -> ProcessSpec:
            instance = f"{named}-{number}"
            return self._serving(launch.service, SERVICE, instance, own, commands=commands, variables=variables)

        return spec

    def _own(self, service: str) -> Mapping[str, str]:
        return {**self._launch.engines.databases.settings_of(service), **self._around.where_services_listen}

    def _control_plane(self) -> ReplicaSet:
        own: dict[str, str] = {}
        if (policy := policy_path(self._settings.calls.mesh_policy)) is not None:
            own["MESH_POLICY"] = str(policy.absolute())
        environment = self._around.of(MESH, self._layout.of(MESH), own)
        return control_plane_set(lambda: self._launch.commands.of(MESH, environment), self._context)

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
        own = self._own(name)
        return ReplicaSet(
            name, SERVICE, replicas, lambda number: self._serving(name, SERVICE, f"{name}-{number}", own), self._context
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
            lambda number: self._serving(GATEWAY_SERVICE, GATEWAY, f"{GATEWAY_SERVICE}-{number}", own, public),
            self._context,
        )

    def _serving(
        self,
        name: str,
        kind: str,
        instance: str,
        own: Mapping[str, str],
        *descriptors: int,
        commands: LaunchCommands | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> ProcessSpec:
        control = self._layout.of(instance)
        # Also for a service in another language, whose own SDK reads it.
        sidecar, network, why_not, through = None, None, "", dict[str, str]()
        if self._launch.sidecars is not None:
            isolation = self._launch.sidecars.isolation.of(name, variables or {})
            why_not = isolation.why_not
            network = None if why_not else self._network(instance, isolation.destinations)
            sidecar, through = self._launch.sidecars.beside(name, instance, network, takes_calls=kind == SERVICE)
            sidecar = replace(sidecar, not_isolated=why_not)
        environment = {**self._around.of(instance, control, {**own, **through}), "OTEL_SERVICE_NAME": name}
        environment, chosen = {**environment, **(variables or {})}, commands or self._launch.commands

        async def command() -> Command:
            control.unlink(missing_ok=True)
            return chosen.of(name, environment, *descriptors)

        return ProcessSpec(
            name,
            instance,
            kind,
            command,
            ready_line(name),
            control=str(control),
            sidecar=sidecar,
            version=environment.get(VERSION, "") if kind == SERVICE else "",
            network=network,
            not_isolated=why_not,
        )

    def _network(self, instance: str, destinations: Sequence[Destination]) -> PodNetwork:
        def report(line: str) -> None:
            self._context.on_output(instance, [line.encode()])

        return PodNetwork(Egress(destinations, report) if destinations else None)
