"""Where rate limits sit: after it is known who calls, before anything is read for them."""

from typing import Protocol

from souk.descriptors.contract import RateClass
from souk.gateway.http.problem import Problem
from souk.kernel.context import Caller


class RateLimiter(Protocol):
    """Counts calls. Must not block; shared state is the implementation's affair."""

    def wait(self, kind: RateClass, who: str) -> float:
        """Counts one call of `who`; 0 when it may go on, else the seconds after which it may be tried again."""
        ...


class Unlimited:
    """Counts nothing."""

    def wait(self, kind: RateClass, who: str) -> float:
        return 0.0


def admit(limiter: RateLimiter, kind: RateClass, caller: Caller) -> None:
    """Counts a call by its user, or by its address when nobody is known. Raises Problem 429."""
    seconds = limiter.wait(kind, caller.subject or caller.address)
    if seconds > 0:
        raise Problem(429, "RATE_LIMITED", "too many requests of this kind", retry_after=seconds)
