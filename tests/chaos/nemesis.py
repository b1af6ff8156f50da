"""Injects faults, one after the other, in an order and for times that a seed decides."""

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
    """One fault that happened. Times are by the monotonic clock; `failed` says why it could not be done."""

    name: str
    detail: str
    began: float
    healed: float = 0.0
    failed: str = ""


@dataclass
class Nemesis:
    """Every fault comes once before any comes again."""

    target: Target
    chance: random.Random
    kinds: Sequence[type[Fault]]
    injected: list[Injected] = field(default_factory=list)
    left_out: set[str] = field(default_factory=set)

    async def work(self, seconds: float) -> None:
        """Does harm for so long; whatever it did is healed when it returns, or is cancelled."""
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
