"""The network of a process and its sidecar, as long as both are managed."""

import asyncio
import os
from collections.abc import Mapping, Sequence

from souk.supervisor.isolation.destinations import Destination
from souk.supervisor.isolation.egress import Egress
from souk.supervisor.isolation.network_namespace import new_namespace


class PodNetwork:
    """The namespace of a process and its sidecar, with its way out, if it has one. It is made when the first of them
    starts, and is theirs until `close`, however often they are started again."""

    def __init__(self, egress: Egress | None = None) -> None:
        self._egress = egress
        self._making: asyncio.Task[int] | None = None

    @property
    def destinations(self) -> Sequence[Destination]:
        """What it has a way out to."""
        return () if self._egress is None else self._egress.destinations

    @property
    def files(self) -> Mapping[str, str]:
        """What its processes must find in place of the system's files, by path."""
        return {} if self._egress is None else self._egress.files

    async def descriptor(self) -> int:
        """Gives the descriptor by which a process enters it. Raises OSError when it cannot be made."""
        if self._making is None or (self._making.done() and _failed(self._making)):
            self._making = asyncio.create_task(self._made(), name="network namespace")
        return await asyncio.shield(self._making)

    def close(self) -> None:
        """Leaves it to the processes that are still in it, without a way out. One that is being made is left once it
        is there."""
        making, self._making = self._making, None
        if making is not None and making.done():
            self._leave(making)
        elif making is not None:
            making.add_done_callback(self._leave)

    async def _made(self) -> int:
        descriptor = await asyncio.to_thread(new_namespace)
        try:
            if self._egress is not None:
                await self._egress.open(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _leave(self, making: asyncio.Task[int]) -> None:
        if self._egress is not None:
            self._egress.close()
        if not _failed(making):
            os.close(making.result())


def _failed(making: asyncio.Task[int]) -> bool:
    return making.cancelled() or making.exception() is not None
