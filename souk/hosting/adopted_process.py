"""Runs an existing ASGI application as a service of a running system: `souk adopt`."""

import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from souk.admin.client import require_running
from souk.admin.servicers.process import Inspected, controlling
from souk.discovery.open import open_registry
from souk.discovery.registry import Instance
from souk.gateway.routing.announcement import ADOPTED, SIDECAR, Announcement
from souk.gateway.settings import GATEWAY_SERVICE
from souk.hosting.adopted.application import Application
from souk.hosting.adopted.caller_headers import CallerHeaders
from souk.hosting.adopted.from_sidecar import only_from
from souk.hosting.adopted.lifespan import living
from souk.hosting.adopted.measured import MeasuredApplication
from souk.hosting.adopted.registered import registered, require_free
from souk.hosting.adopted.sidecar import (
    AdoptedWorkload,
    ApplicationSidecar,
    SidecarFiles,
    has_mesh,
    inbound_address,
    kept,
)
from souk.hosting.gateway.app import DrainingApp
from souk.hosting.hosted_service import secret_of
from souk.hosting.telemetry import open_telemetry
from souk.kernel.addresses import ON_LOOPBACK, unix_address
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError
from souk.rpc.caller_token import CallerTokens
from souk.runtime.calls.breaker_registry import Breakers
from souk.runtime.calls.registration import APPLICATION, instance_id
from souk.runtime.config import entry_points
from souk.runtime.config.settings import ListenSettings, Settings
from souk.runtime.data.directory import installation_secret, make
from souk.runtime.data.layout import DataLayout, fits
from souk.runtime.process.http.server import serving
from souk.runtime.process.http.websockets import UpgradingProtocol
from souk.runtime.process.ops_http import Readiness, scraped
from souk.runtime.process.sockets import BACKLOG, address_of, listen
from souk.telemetry.health import Health
from souk.telemetry.metrics import process_registry


@dataclass(frozen=True, slots=True)
class Adopted:
    """An application, its name as MODULE:NAME, and what is said of it in the registry."""

    application: Application
    source: str
    announcement: Announcement


def registry_of(settings: Settings) -> str:
    """Gives the URL of the registry of the system that is to be joined: of the settings, or in its data directory.

    Raises ConfigurationError, in one line, when no system runs there.
    """
    if settings.calls.discovery.registry is not None:
        return settings.calls.discovery.registry
    data = settings.data.directory
    require_running(data)
    path = DataLayout(data.resolve()).registry
    if not path.exists():
        raise ConfigurationError(
            f"the system on {data} has its registry elsewhere; set SOUK_REGISTRY to the one that it was started with"
        )
    return f"unix:{quote(str(path))}"


@asynccontextmanager
async def adopted_process(adopted: Adopted, settings: Settings, clock: Clock, registry: str) -> AsyncIterator[str]:
    """Serves an application, registered in the `registry`, inside the block; gives its address once it is there."""
    name, about = adopted.announcement.service, settings.calls.discovery
    async with AsyncExitStack() as stack:
        metrics, health, id_ = process_registry(), Health(clock), instance_id(name, about)
        telemetry = await stack.enter_async_context(open_telemetry(settings, clock, name, id_))
        metrics.register(telemetry.logs)
        discovery = await open_registry(registry, clock)
        stack.push_async_callback(discovery.close)
        taken = (GATEWAY_SERVICE, *entry_points.named(entry_points.SERVICES))
        await require_free(name, adopted.source, taken, discovery, clock)
        tokens = CallerTokens(secret_of(settings.calls, settings.data.directory), name, clock)
        state = await stack.enter_async_context(living(adopted.application, settings.process.drain))
        if (tracing := telemetry.tracing) is not None:
            metrics.register(tracing)
        tracer = None if tracing is None else tracing.tracer(name, alone=True)
        callers = CallerHeaders(adopted.application, tokens, adopted.announcement.prefix, state, tracer)
        served = DrainingApp(MeasuredApplication(callers, metrics, clock))
        readiness = Readiness(health)
        limits, process = settings.http.limits, settings.process
        scraping = scraped(process.metrics_port, metrics, readiness, limits, process.metrics_host)
        scraped_at = await stack.enter_async_context(scraping)
        inspected = Inspected(
            service=name,
            instance=id_,
            breakers=Breakers(clock),
            traffic=served.traffic,
            clock=clock,
            health=health,
            version=about.version,
            zone=about.zone,
            weight=about.weight,
            away=lambda: discovery.away,
            metrics_address=scraped_at,
            metrics=metrics,
            spans=None if tracing is None else tracing.ring,
        )
        control = settings.process.control or stack.enter_context(_folder(settings.data.directory)) / f"{id_[-12:]}.ctl"
        await stack.enter_async_context(controlling(control, inspected))
        stack.callback(control.unlink, missing_ok=True)
        reached = await stack.enter_async_context(_reached(name, id_, settings, registry, clock))
        serves = serving(served, reached.listener, process.drain, limits=limits, protocol=reached.protocol)
        await stack.enter_async_context(serves)
        metadata = {ADOPTED: adopted.source, **reached.metadata}
        instance = Instance(name, id_, reached.address, about.version, about.zone, about.weight, metadata)
        await stack.enter_async_context(registered(discovery, instance, adopted.announcement, str(control)))
        stack.enter_context(readiness.on())
        yield reached.address


@dataclass(frozen=True, slots=True)
class _Reached:
    """Where an application listens, and where others reach it, with what the registry has to say of that."""

    listener: socket.socket
    address: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    protocol: type[UpgradingProtocol] = UpgradingProtocol


@asynccontextmanager
async def _reached(
    name: str, instance: str, settings: Settings, registry: str, clock: Clock
) -> AsyncIterator[_Reached]:
    """Gives the socket of an application; in a fleet with a mesh its sidecar takes requests inside the block, and
    nobody else gets to the socket."""
    data = settings.data.directory
    if not await has_mesh(data):
        with _listening(instance, settings) as (listener, address):
            yield _Reached(listener, address)
        return
    with _folder(data) as folder, _at_a_socket(folder / f"{instance}.sock") as (listener, own):
        files = SidecarFiles(folder, instance)
        at = inbound_address(files, registry, settings.listen.port, settings.listen.host)
        workload = AdoptedWorkload(name, instance, settings.calls.discovery.zone, own)
        sidecar = ApplicationSidecar(workload, at, files, DataLayout(data.resolve()), installation_secret(data), clock)
        async with kept(sidecar, files):
            metadata = {APPLICATION: own, SIDECAR: str(sidecar.admin)}
            yield _Reached(listener, at, metadata, only_from(lambda: sidecar.pid))


@contextmanager
def _listening(instance: str, settings: Settings) -> Iterator[tuple[socket.socket, str]]:
    """Gives the socket that listens, and its address: a port if the settings give one, else a path for the owner."""
    if settings.listen.at_a_port:
        _require_protection(settings.listen, plain=settings.calls.tls.plain_tcp)
        with listen(settings.listen.address, settings.listen.port) as listener:
            yield listener, address_of(listener)
        return
    with _folder(settings.data.directory) as folder, _at_a_socket(folder / f"{instance}.sock") as found:
        yield found


@contextmanager
def _at_a_socket(path: Path) -> Iterator[tuple[socket.socket, str]]:
    """Gives a socket that listens at a path for the owner, and its address."""
    path.unlink(missing_ok=True)  # left by a process that was killed
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(BACKLOG)
        listener.setblocking(False)
        try:
            yield listener, unix_address(path)
        finally:
            path.unlink(missing_ok=True)


@contextmanager
def _folder(data: Path) -> Iterator[Path]:
    """Gives a private folder for sockets that stay when the system starts again: below its data directory, or a
    temporary one if that path is too long."""
    folder = DataLayout(data.resolve()).run / "adopted"
    if fits(folder):
        yield make(folder)
        return
    with TemporaryDirectory(prefix="souk-adopted-") as elsewhere:
        yield Path(elsewhere)


def _require_protection(listen_at: ListenSettings, *, plain: bool) -> None:
    if listen_at.address not in ON_LOOPBACK and not plain:
        raise ConfigurationError(
            f"an application that listens on {listen_at.address} is called in plain HTTP; "
            "set SOUK_PLAIN_TCP=true where the network is to be trusted, or leave out SOUK_HOST"
        )
