"""Injects faults one after the other; a seed decides their order and how long they last."""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.chaos.faults import Fault, Target

CALM = (1.0, 4.0)
"""Seconds between faults, at least and at most."""
SHORTEST = 0.3


@dataclass
class Injected:
    """A fault that was injected. Times are by the monotonic clock; `failed` is the reason if it could not be
    injected."""

    name: str
    detail: str
    began: float
    healed: float = 0.0
    failed: str = ""


@dataclass
class Nemesis:
    """Injects each fault once before it repeats any."""

    target: Target
    chance: random.Random
    kinds: Sequence[type[Fault]]
    injected: list[Injected] = field(default_factory=list)
    left_out: set[str] = field(default_factory=set)

    async def work(self, seconds: float) -> None:
        """Injects faults for so many seconds; every fault is healed when it returns or is cancelled."""
        end = time.monotonic() + seconds
        for kind in self._order():
            await asyncio.sleep(self.chance.uniform(*CALM))
            if time.monotonic() >= end:
                return
            fault = kind(self.target, self.chance)
            if fault.possible():
                await self._strike(fault)
            else:
                self.left_out.add(fault.name)

    def _order(self) -> Iterator[type[Fault]]:
        while True:
            yield from self.chance.sample(self.kinds, len(self.kinds))

    async def _strike(self, fault: Fault) -> None:
        lasts = self.chance.uniform(SHORTEST, fault.longest)
        one = Injected(fault.name, "", time.monotonic())
        self.injected.append(one)
        try:
            one.detail = await fault.inject()
            await asyncio.sleep(lasts)
        except Exception as error:
            one.failed = f"{type(error).__name__}: {error}"
        finally:
            await asyncio.shield(fault.heal())
            one.healed = time.monotonic()
