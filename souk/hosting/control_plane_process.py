"""Runs the control plane of a fleet's mesh as a process of its own: `souk serve mesh`."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from souk.discovery.open import directory_of
from souk.kernel.addresses import unix_address
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError
from souk.mesh.canary.alarms import FleetAlarms
from souk.mesh.canary.fleet_traffic import FleetTraffic
from souk.mesh.canary.observations.release_tallies import ReleaseTallies
from souk.mesh.canary.observations.service import ReportsHandler
from souk.mesh.canary.operating.servicer import canary_handlers
from souk.mesh.canary.steering.controller import CanaryController
from souk.mesh.canary.steering.store import CanaryStore
from souk.mesh.control_plane import ControlPlane
from souk.mesh.envoy.trace_variables import span_receiver
from souk.mesh.identity.authority import CertificateAuthority
from souk.mesh.identity.lifetimes import Lifetimes
from souk.mesh.identity.store import AuthorityStore
from souk.mesh.operations.last_policy import LastPolicy
from souk.mesh.operations.metrics import MeshMetrics
from souk.mesh.operations.policy_file import PolicyFile
from souk.mesh.operations.servicer import operations
from souk.mesh.policy.reading import default_policy, load_policy, policy_path
from souk.mesh.policy.who_may_call import who_may_call
from souk.runtime.config.settings import Settings
from souk.runtime.data.directory import installation_secret, make_closed
from souk.runtime.data.layout import DataLayout
from souk.runtime.process.ops_http import Readiness, scraped
from souk.runtime.service import App
from souk.telemetry.health import Health
from souk.telemetry.metrics import process_registry


@asynccontextmanager
async def control_plane_process(
    app: App, settings: Settings, clock: Clock, variables: Mapping[str, str]
) -> AsyncIterator[str]:
    """Serves the sidecars of an app's services inside the block; gives the address at which they find it.

    The `variables` of OpenTelemetry say where sidecars send their spans.

    With a wrong policy file it goes on with the last policy that was in force. Raises ConfigurationError without a
    registry, and for a wrong policy file if there is no last one.
    """
    where, data = settings.calls.discovery.registry, settings.data.directory.resolve()
    if where is None:
        raise ConfigurationError("the control plane learns from the registry where instances are: set SOUK_REGISTRY")
    make_closed(data)
    layout = DataLayout(data)
    async with AsyncExitStack() as stack:
        directory = await stack.enter_async_context(directory_of(where, clock))
        lifetimes = Lifetimes.of(settings.calls.mesh_certificate_life)
        authority = await asyncio.to_thread(CertificateAuthority, AuthorityStore(data), lifetimes, clock)
        named, last = policy_path(settings.calls.mesh_policy), LastPolicy(data)
        load, defaults = partial(load_policy, services=app.services), partial(default_policy, app.services)
        start = await asyncio.to_thread(last.at_start, named, load, defaults)
        secret = installation_secret(data)
        allowed, spans = who_may_call(app.services), span_receiver(variables)
        plane = ControlPlane(app.services, start.policy, allowed, authority, directory, secret, clock, spans)
        registry = process_registry()
        plane.exchanges.counts = MeshMetrics(plane, registry)
        readiness, process = Readiness(Health(clock)), settings.process
        await stack.enter_async_context(
            scraped(process.metrics_port, registry, readiness, settings.http.limits, process.metrics_host)
        )
        file = PolicyFile(plane, named, load, clock, last, start)
        tallies = ReleaseTallies(app.services, plane.rules)
        canaries = await stack.enter_async_context(_canaries(app, plane, tallies, data, clock))
        further = [operations(plane, file, clock), canary_handlers(canaries, clock)]
        further.append(ReportsHandler(plane.is_sidecar, tallies.report))
        await stack.enter_async_context(plane.serving(layout.control_plane, further))
        stack.enter_context(readiness.on())
        yield unix_address(layout.control_plane)


@asynccontextmanager
async def _canaries(
    app: App, plane: ControlPlane, tallies: ReleaseTallies, data: Path, clock: Clock
) -> AsyncIterator[CanaryController]:
    """Steers the canaries of an app inside the block, which begins before sidecars are served."""
    names = [service.name for service in app.services]
    traffic, alarms = FleetTraffic(plane, data), FleetAlarms(data, app.invariants)
    controller = CanaryController(names, CanaryStore(data), traffic, tallies, alarms, clock)
    async with controller.running():
        yield controller
