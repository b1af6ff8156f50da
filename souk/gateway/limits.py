"""The port of rate limits, which apply once the caller is known and before the body is read."""

from typing import Protocol

from souk.descriptors.contract import RateClass
from souk.gateway.http.problem import Problem
from souk.kernel.context import Caller


class RateLimiter(Protocol):
    """Counts calls and limits their rate. It must not block; how state is shared is up to the implementation."""

    def wait(self, kind: RateClass, who: str) -> float:
        """Counts one call by `who`. Returns 0 when it may go on, else the seconds after which to try again."""
        ...


class Unlimited:
    """A rate limiter that limits nothing."""

    def wait(self, kind: RateClass, who: str) -> float:
        return 0.0


def admit(limiter: RateLimiter, kind: RateClass, caller: Caller) -> None:
    """Counts a call by its user, or by the client's address for an anonymous caller. Raises Problem 429."""
    seconds = limiter.wait(kind, caller.subject or caller.address)
    if seconds > 0:
        raise Problem(429, "RATE_LIMITED", "too many requests of this kind", retry_after=seconds)
