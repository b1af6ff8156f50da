"""A registry of fixed addresses, which never change."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence

from souk.discovery.diff import Known, by_id
from souk.discovery.registry import Instance, WatchEvent, checked
from souk.discovery.watch_fanout import Publish, Watches


class StaticRegistry:
    """The port's `Registry` over a list of addresses. It is never away, and it ignores registrations."""

    def __init__(self, addresses: Mapping[str, Sequence[str]]) -> None:
        self._known: dict[str, Known] = {
            service: by_id(
                checked(Instance(service, f"{service}-{number}", address)) for number, address in enumerate(listed, 1)
            )
            for service, listed in addresses.items()
        }
        self._watches = Watches(self._follow)

    @property
    def away(self) -> str:
        """Always empty: a list is never away."""
        return ""

    async def register(self, instance: Instance) -> "Unheard":
        """Only checks the instance: the list is not changed."""
        return Unheard(checked(instance))

    def watch(self, service: str) -> AsyncGenerator[WatchEvent, None]:
        """Yields a `Joined` for each address, and no changes after that."""
        return self._watches.watch(service)

    async def close(self) -> None:
        """Ends every watch."""
        await self._watches.close()

    async def _follow(self, service: str, publish: Publish) -> None:
        publish(self._known.get(service, {}))
        await asyncio.get_running_loop().create_future()


class Unheard:
    """A registration without effect, at a registry whose instances are given from outside."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance

    async def set_healthy(self, healthy: bool) -> None:
        """Does nothing."""

    async def update(self, instance: Instance) -> None:
        """Only checks the instance. Raises ConfigurationError if it is not valid."""
        self.instance = checked(instance)

    async def leave(self) -> None:
        """Does nothing."""
