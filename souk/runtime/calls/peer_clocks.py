"""The clocks of the processes that this one calls, compared with its own.

Every response of a process has a date. Each instance of each service that this process calls is asked for one
every EVERY seconds, even when no call goes to it: a gateway that is not ready gets no requests, and would
otherwise never learn that its clock is right again.
"""

import asyncio
from collections.abc import Iterator, Mapping

from souk.discovery.registry import Instance
from souk.kernel.clock import MICROSECONDS, Clock
from souk.rpc.dates import RESOLUTION, seconds_of
from souk.rpc.discovered import DiscoveredTransport

EVERY = 5.0
"""Seconds after which an instance is asked again."""
PATIENCE = 2.0
"""Seconds that a response may take."""
_ROUND = 1.0


class PeerClocks:
    """Tells by how much this process is ahead of each instance in `discovered`, by its latest response."""

    def __init__(self, discovered: Mapping[str, DiscoveredTransport], clock: Clock) -> None:
        self._discovered = discovered
        self._clock = clock
        # By instance: its date at the zero of this process's monotonic clock, which cannot be set.
        self._origins: dict[str, float] = {}
        self._asked: dict[str, float] = {}

    def ahead(self) -> dict[str, float]:
        """Gives the seconds by which this process is ahead, by instance id; negative when it is behind."""
        own = self._clock.now() / MICROSECONDS - self._clock.monotonic()
        return {instance: own - origin for instance, origin in self._origins.items()}

    async def run(self) -> None:
        """Asks the instances for their dates until it is cancelled."""
        while True:
            await self.ask()
            await asyncio.sleep(_ROUND)

    async def ask(self) -> None:
        """Asks every instance that was not asked within EVERY seconds, and forgets instances that have left."""
        known = list(self._known())
        for gone in self._asked.keys() - {instance.id for _, instance in known}:
            del self._asked[gone]
            self._origins.pop(gone, None)
        since = self._clock.monotonic() - EVERY
        due = [one for one in known if self._asked.get(one[1].id, since) <= since]
        await asyncio.gather(*(self._read(there, instance) for there, instance in due))

    def _known(self) -> Iterator[tuple[DiscoveredTransport, Instance]]:
        for there in list(self._discovered.values()):
            for instance in there.instances:
                yield there, instance

    async def _read(self, there: DiscoveredTransport, instance: Instance) -> None:
        asked_at = self._asked[instance.id] = self._clock.monotonic()
        date = seconds_of(await there.date(instance.address, PATIENCE))
        if date is None:
            return
        halfway = (asked_at + self._clock.monotonic()) / 2
        self._origins[instance.id] = date + RESOLUTION / 2 - halfway
