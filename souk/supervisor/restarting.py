"""When a process that died is started again. Pure: time and chance are arguments."""

from dataclasses import dataclass
from random import Random

from souk.resilience.backoff import Backoff

BACKOFF = Backoff(initial=0.1, cap=10.0, factor=2.0, jitter=0.2)
WELL = 30.0
"""Seconds after which a process that takes calls is well: what happened before is forgotten."""


@dataclass(slots=True)
class Restarts:
    """The history of one place: `count` deaths in all, `in_a_row` of them without having been well between."""

    count: int = 0
    in_a_row: int = 0

    def died(self, well_for: float, random: Random) -> float:
        """Seconds to wait after a death. `well_for` is how long it took calls before it; 0 if it never did."""
        self.count += 1
        self.in_a_row = 1 if well_for >= WELL else self.in_a_row + 1
        return BACKOFF.delay(self.in_a_row, random)
