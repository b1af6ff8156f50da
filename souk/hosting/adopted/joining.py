"""How applications join a system of one process: by a registry of its own, on a socket in the data directory.

A fleet has a registry anyway, and so has a system whose settings name one.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from souk.discovery.directory import Directory
from souk.discovery.embedded.server import EmbeddedRegistry, serving
from souk.discovery.registry import InstanceSource, WatchEvent
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError
from souk.runtime.calls.channels import Calls
from souk.runtime.config.settings import DiscoverySettings
from souk.runtime.data.layout import DataLayout
from souk.telemetry.logs import logger


class ListedOrJoined:
    """Finds services at the addresses that the settings list, and all others in the system's own registry."""

    def __init__(self, listed: Mapping[str, Sequence[str]], at: InstanceSource, own: EmbeddedRegistry) -> None:
        self._listed, self._at, self._own = listed, at, own

    @property
    def away(self) -> str:
        """Always empty: both are in this process."""
        return ""

    def watch(self, service: str) -> AsyncGenerator[WatchEvent, None]:
        """Yields the changes among a service's instances."""
        return (self._at if service in self._listed else self._own).watch(service)


class Joining:
    """Where this process finds applications: `directory`. `own` is the registry of the system, if it needs one."""

    def __init__(self, directory: Directory, own: EmbeddedRegistry | None) -> None:
        self.directory, self._own = directory, own

    @asynccontextmanager
    async def at(self, data: Path) -> AsyncIterator[None]:
        """Lets applications join inside the block, at the registry's socket in the data directory.

        The folder of sockets must be there. If no socket can be made, the system goes on without one, and a warning is
        logged.
        """
        layout = _layout(data)
        async with AsyncExitStack() as stack:
            try:
                if self._own is not None:
                    await stack.enter_async_context(serving(self._own, layout.registry))
            except (ConfigurationError, OSError) as error:
                logger("discovery").warning("no application can join this system", reason=str(error))
            yield


@asynccontextmanager
async def open_joining(calls: Calls, settings: DiscoverySettings, clock: Clock) -> AsyncIterator[Joining]:
    """Gives where a system of one process finds applications that join it."""
    if settings.registry is not None:
        yield Joining(calls.directory, None)
        return
    own = EmbeddedRegistry(clock)
    directory = Directory(ListedOrJoined(settings.addresses, calls.discovery, own), clock)
    try:
        yield Joining(directory, own)
    finally:
        await directory.close()


def _layout(data: Path) -> DataLayout:
    return DataLayout(data.resolve())
