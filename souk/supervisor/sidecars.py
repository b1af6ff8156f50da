"""The mesh of a fleet: its control plane, and an Envoy beside each process of a service and of the gateway."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from souk.admin.process_status import CONTROL_PLANE, MESH, SIDECAR
from souk.kernel.addresses import LOOPBACK, unix_address
from souk.kernel.errors import ConfigurationError
from souk.mesh.envoy.bootstrap import Sidecar, find_envoy, sidecar_command, write_bootstrap
from souk.mesh.workloads import workload_token
from souk.runtime.config.settings import Settings
from souk.runtime.data.layout import DataLayout
from souk.runtime.process.command import Command
from souk.runtime.process.liveness import answers_at
from souk.runtime.process.sockets import free_port, listen
from souk.runtime.service import Service
from souk.supervisor.isolation.network_namespace import listens_in
from souk.supervisor.isolation.pod_network import PodNetwork
from souk.supervisor.isolation.rules import SIDECAR_PORT, IsolationRules, isolation_rules
from souk.supervisor.output.readiness import PollProbe, ready_line
from souk.supervisor.process_spec import ProcessSpec, SupervisorContext
from souk.supervisor.replica_set import ReplicaSet


@dataclass(frozen=True, slots=True)
class Sidecars:
    """Makes the sidecars of a fleet. `secret` is that of the installation; instances of one machine take calls at
    sockets, and others `at_ports` of loopback. `envoy` is the program, `zone` where all of them are, and `isolation`
    says who gets a network namespace."""

    layout: DataLayout
    secret: bytes = field(repr=False)
    at_ports: bool
    zone: str
    envoy: Path
    isolation: IsolationRules

    def beside(
        self, service: str, instance: str, network: PodNetwork | None, *, takes_calls: bool
    ) -> tuple[ProcessSpec, dict[str, str]]:
        """Makes the spec of an instance's sidecar, and the instance's settings by which it uses that.

        A gateway takes no calls from other services. In a `network` of their own they reach each other by its loopback,
        where nobody else can.
        """
        paths = self.layout.sidecar(instance)
        outbound = unix_address(paths.outbound) if network is None else f"{LOOPBACK}:{SIDECAR_PORT}"
        inbound = f"{LOOPBACK}:{free_port()}" if self.at_ports else unix_address(paths.inbound)
        metadata = {"outbound": outbound, "zone": self.zone}
        own = {"SIDECAR": outbound}
        if takes_calls and network is not None:
            own["HOST"] = LOOPBACK
        if takes_calls:
            metadata["inbound"] = own["ADVERTISE"] = inbound
        about = Sidecar(
            instance, service, workload_token(self.secret, service, instance), self.layout.control_plane, paths.admin,
            metadata,
        )  # fmt: skip

        async def command() -> Command:
            if takes_calls and self.at_ports:
                _require_free(inbound)
            for path in (paths.admin, paths.inbound, paths.outbound):
                path.unlink(missing_ok=True)
            await asyncio.to_thread(write_bootstrap, paths.bootstrap, about)
            return Command(sidecar_command(self.envoy, paths.bootstrap), {})

        # Its listener for the application is there once it has all that it waits for.
        def listens(pid: int) -> bool:
            return paths.outbound.exists() if network is None else listens_in(pid, SIDECAR_PORT)

        ready = PollProbe(listens, outbound)
        alive = answers_at(paths.admin)
        return ProcessSpec(service, f"{instance}-sidecar", SIDECAR, command, ready, alive=alive, network=network), own


def _require_free(at: str) -> None:
    """Raises ConfigurationError, which says what to do, if somebody else listens at a port by now."""
    host, _, port = at.rpartition(":")
    try:
        listen(host, int(port)).close()
    except ConfigurationError:
        what = f"port {port}, at which this sidecar takes calls, is taken"
        raise ConfigurationError(f"{what}: end the program that listens there, or restart the fleet") from None


def sidecars_in(
    layout: DataLayout, secret: bytes, registry: str, services: Sequence[Service], settings: Settings
) -> Sidecars:
    """Makes the sidecars of a fleet.

    Raises ConfigurationError when Envoy is not installed, and when SOUK_MESH_OUTSIDE names an unknown service.
    """
    at_ports, isolation = not registry.startswith("unix:"), isolation_rules(services, settings, registry)
    return Sidecars(layout, secret, at_ports, settings.calls.discovery.zone, find_envoy(), isolation)


def control_plane_set(command: Callable[[], Command], context: SupervisorContext) -> ReplicaSet:
    """Makes the replica set of the control plane."""

    async def begun() -> Command:
        return command()

    spec = ProcessSpec(MESH, MESH, CONTROL_PLANE, begun, ready_line(MESH))
    return ReplicaSet(MESH, CONTROL_PLANE, 1, lambda number: spec, context)
