"""Opens one service for a command, without the system around it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from souk.admin.databases import locate_databases, nothing_kept
from souk.faults import INERT
from souk.hosting.hosted_service import AssemblyContext, Hosted, hosted, secret_of
from souk.kernel.clock import SystemClock
from souk.kernel.errors import ConfigurationError
from souk.rpc.client.channel import Channel
from souk.rpc.grpc.transport import GrpcTransport
from souk.runtime.config.environment import from_environment
from souk.runtime.data import manifest
from souk.runtime.data.directory import make_closed
from souk.runtime.service import Service


def _require_directory(data: Path, *, named: bool) -> None:
    """Makes the default data directory if it is missing, but not one that was named: a typing error in its name would
    make another system."""
    if named and not data.is_dir():
        raise ConfigurationError(
            f"there is no directory {data}; name the system's with --data, or make it first with `mkdir -m 700 {data}`"
        )
    make_closed(data)


@asynccontextmanager
async def offline(service: Service, data: Path | None, *, new: bool = False) -> AsyncIterator[Hosted]:
    """Opens a service of the system on the directory `data`, or of that in the settings if `data` is None.

    The service's calls to other services are not sent, and no background work runs. A fleet may run meanwhile, and
    must if PostgreSQL is its own. Raises ConfigurationError, in one line, when such a fleet does not run, when a
    system of one process holds the directory, and, unless `new`, when there is no data yet.
    """
    settings, clock = from_environment({"data": data}), SystemClock()
    directory = settings.data.directory
    where = locate_databases(settings.data, settings.topology)
    if where.in_files:
        manifest.require_fit(directory, manifest.FILES)
    if where.in_files and not new and not (directory / f"{service.name}.db").exists():
        raise ConfigurationError(nothing_kept(directory))
    _require_directory(directory, named=data is not None)
    nowhere = GrpcTransport(tuple, clock)
    assembly = AssemblyContext(
        where.of(service.name),
        settings.services,
        clock,
        INERT,
        f"souk-{service.name}",
        lambda caller: lambda name: Channel(nowhere),
        secret_of(settings.calls, directory),
    )
    try:
        async with hosted(service, assembly) as opened:
            yield opened
    finally:
        await nowhere.close(0)


@dataclass(frozen=True, slots=True)
class ServiceFolder:
    """A service's own directory, and its settings by name, as a command sees them."""

    path: Path
    settings: Mapping[str, str] = field(repr=False)


def service_folder(service: Service, data: Path | None) -> ServiceFolder:
    """Finds a service's directory below the data directory `data`, or below that of the settings if `data` is None.

    The system may run meanwhile: nothing is opened or locked, and the directory may be missing. Raises
    ConfigurationError, in one line, when there is no data directory.
    """
    settings = from_environment({"data": data})
    directory = settings.data.directory
    if not directory.is_dir():
        raise ConfigurationError(
            f"there is no data directory {directory}; name the system's with --data, or set SOUK_DATA"
        )
    return ServiceFolder(directory / service.name, settings.services.get(service.name, {}))
