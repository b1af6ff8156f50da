"""Exponential back-off with jitter.

Source: Marc Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015), equal jitter.
"""

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Backoff:
    """The waits between tries: `initial` seconds, then each `factor` times longer, up to `cap` seconds.

    `jitter` is the part of a wait that is random: 0 is none of it, 1 all of it.
    """

    initial: float = 0.05
    cap: float = 30.0
    factor: float = 2.0
    jitter: float = 0.5

    def longest(self, tries: int) -> float:
        """Returns the wait in seconds after `tries` failed tries (1 is the first), before jitter."""
        # The exponent is bounded: a float overflows after a thousand tries.
        return min(self.cap, self.initial * self.factor ** min(max(tries - 1, 0), 64))

    def delay(self, tries: int, random: Random) -> float:
        """Returns the wait in seconds after `tries` failed tries, with jitter."""
        return self.longest(tries) * (1 - self.jitter * random.random())
