"""Addresses that are known from the start and never change."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence

from souk.discovery.diff import Known, by_id
from souk.discovery.registry import Change, Instance, checked
from souk.discovery.watch_fanout import Tell, Watches


class StaticRegistry:
    """The port's `Registry` over a list; never away. Whoever registers is not heard: the list says all."""

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
        """Always empty."""
        return ""

    async def register(self, instance: Instance) -> "Unheard":
        """Does nothing."""
        return Unheard(checked(instance))

    def watch(self, service: str) -> AsyncGenerator[Change, None]:
        """A `Joined` for each address, and nothing after that."""
        return self._watches.watch(service)

    async def close(self) -> None:
        """Ends every watch."""
        await self._watches.close()

    async def _follow(self, service: str, tell: Tell) -> None:
        tell(self._known.get(service, {}))
        await asyncio.get_running_loop().create_future()


class Unheard:
    """A registration where somebody else decides who is there."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance

    async def set_healthy(self, healthy: bool) -> None:
        """Does nothing."""

    async def update(self, instance: Instance) -> None:
        """Does nothing but refuse what no registry can hold."""
        self.instance = checked(instance)

    async def leave(self) -> None:
        """Does nothing."""
