"""Which streams of a topic this consumer owns in its group: by leases, shared evenly among the group's consumers."""

import time
from collections.abc import Collection
from typing import TYPE_CHECKING
from uuid import uuid4

from souk.events.brokers.redis_streams import scripts

if TYPE_CHECKING:
    from redis.asyncio import Redis  # an optional extra

STREAMS = 16
"""The streams of a topic. It must never change: the order of a key's events depends on it."""
LEASE = 10.0
"""Seconds after which the streams of a consumer that is gone go to the others."""


def stream_of(topic: str, number: int) -> str:
    """Returns the key of a topic's stream. Its braces keep a topic on one node of a cluster."""
    return f"{{{topic}}}:{number}"


def _now() -> float:
    """Returns the seconds of a clock that goes on while the machine sleeps, where there is one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Ownership:
    """The streams that one consumer owns; a lease lasts `lease` seconds unless it is renewed."""

    def __init__(self, client: "Redis", topic: str, group: str, lease: float) -> None:
        self.topic, self.group = topic, group
        self.consumer = uuid4().hex
        self.owners_key = f"{{{topic}}}:owners:{group}"
        self.lease = lease
        self._members_key = f"{{{topic}}}:members:{group}"
        self._client = client
        self._take = client.register_script(scripts.TAKE)
        self._give_up = client.register_script(scripts.GIVE_UP)
        self._held: frozenset[int] = frozenset()
        self._until = float("-inf")

    @property
    def held(self) -> frozenset[int]:
        """The numbers of the streams that are owned; empty when the lease could not be renewed in time."""
        return self._held if _now() < self._until else frozenset()

    async def renew(self) -> tuple[frozenset[int], int]:
        """Renews the lease and takes free streams; returns what is owned in the server, and the fair share."""
        # Counted from before the request, so that it ends before the lease in the server, which began later.
        asked = _now()
        arguments = (self.consumer, round(self.lease * 1000), STREAMS)
        share, held = await self._take(keys=[self._members_key, self.owners_key], args=arguments)
        self._held, self._until = frozenset(held), asked + self.lease
        return self._held, share

    def forget(self, numbers: Collection[int]) -> None:
        """Stops using streams before they are given up."""
        self._held -= frozenset(numbers)

    async def give_up(self, numbers: Collection[int]) -> None:
        """Lets other consumers have these streams at once."""
        self.forget(numbers)
        if numbers:
            await self._give_up(keys=[self.owners_key], args=[self.consumer, *numbers])

    async def leave(self) -> None:
        """Gives up every stream and leaves the group."""
        await self.give_up(self._held)
        await self._client.zrem(self._members_key, self.consumer)
