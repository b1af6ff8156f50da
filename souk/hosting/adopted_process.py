"""Runs an existing ASGI application as a service of a running system: `souk adopt`."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from souk.admin.client import require_running
from souk.admin.servicers.process import Inspected, controlling
from souk.discovery.open import open_registry
from souk.discovery.registry import Instance
from souk.gateway.routing.announcement import ADOPTED, Announcement
from souk.gateway.settings import GATEWAY_SERVICE
from souk.hosting.adopted.application import Application
from souk.hosting.adopted.caller_headers import CallerHeaders
from souk.hosting.adopted.lifespan import living
from souk.hosting.adopted.measured import MeasuredApplication
from souk.hosting.adopted.registered import registered, require_free
from souk.hosting.gateway_app import DrainingApp
from souk.hosting.hosted_service import secret_of
from souk.kernel.addresses import ON_LOOPBACK, unix_address
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError
from souk.rpc.caller_token import CallerTokens
from souk.runtime.calls.breaker_registry import Breakers
from souk.runtime.calls.registration import instance_id
from souk.runtime.config import entry_points
from souk.runtime.config.settings import ListenSettings, Settings
from souk.runtime.data.directory import make
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
        discovery = await open_registry(registry, clock)
        stack.push_async_callback(discovery.close)
        taken = (GATEWAY_SERVICE, *entry_points.named(entry_points.SERVICES))
        await require_free(name, adopted.source, taken, discovery, clock)
        tokens = CallerTokens(secret_of(settings.calls, settings.data.directory), name, clock)
        state = await stack.enter_async_context(living(adopted.application, settings.process.drain))
        metrics, health = process_registry(), Health(clock)
        callers = CallerHeaders(adopted.application, tokens, adopted.announcement.prefix, state)
        served = DrainingApp(MeasuredApplication(callers, metrics, clock))
        readiness, id_ = Readiness(health), instance_id(name, about)
        scraped_at = await stack.enter_async_context(
            scraped(settings.process.metrics_port, metrics, readiness, settings.http.limits)
        )
        inspected = Inspected(
            service=name,
            instance=id_,
            breakers=Breakers(clock),
            traffic=served.traffic,
            clock=clock,
            health=health,
            version=about.version,
            away=lambda: discovery.away,
            metrics_address=scraped_at,
        )
        control = settings.process.control or stack.enter_context(_folder(settings.data.directory)) / f"{id_[-12:]}.ctl"
        await stack.enter_async_context(controlling(control, inspected))
        stack.callback(control.unlink, missing_ok=True)
        listener, address = stack.enter_context(_listening(id_, settings))
        limits, drain = settings.http.limits, settings.process.drain
        await stack.enter_async_context(serving(served, listener, drain, limits=limits, protocol=UpgradingProtocol))
        instance = Instance(name, id_, address, about.version, about.zone, about.weight, {ADOPTED: adopted.source})
        await stack.enter_async_context(registered(discovery, instance, adopted.announcement, str(control)))
        stack.enter_context(readiness.on())
        yield address


@contextmanager
def _listening(instance: str, settings: Settings) -> Iterator[tuple[socket.socket, str]]:
    """Gives the socket that listens, and its address: a port if the settings give one, else a path for the owner."""
    if settings.listen.at_a_port:
        _require_protection(settings.listen, plain=settings.calls.tls.plain_tcp)
        with listen(settings.listen.address, settings.listen.port) as listener:
            yield listener, address_of(listener)
        return
    with _folder(settings.data.directory) as folder:
        path = folder / f"{instance}.sock"
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
