"""Whether a failed call is tried again, and when. Pure: time is an argument, in seconds.

A call is tried again only if a second try can do no harm, if trying can help, if its deadline leaves
room, and if the budget allows: retries must not turn a callee's weakness into its overload.

Sources: Finagle, "Retry Budgets"; Marc Brooker, "Exponential Backoff And Jitter".
"""

from dataclasses import dataclass, field
from random import Random

from souk.kernel.errors import Outcome
from souk.resilience.backoff import Backoff


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """At most `tries` in all. The budget grows by `share` with each call and by `per_second`; it holds `burst`."""

    tries: int = 3
    backoff: Backoff = field(default_factory=lambda: Backoff(0.025, 1.0, jitter=1.0))
    share: float = 0.2
    per_second: float = 3.0
    burst: float = 30.0


class RetryBudget:
    """A bucket of tokens, one for each retry. It starts full."""

    def __init__(self, settings: RetrySettings, now: float) -> None:
        self._settings = settings
        self._tokens = settings.burst
        self._at = now

    def call_made(self) -> None:
        """A first try was made."""
        self._tokens = min(self._settings.burst, self._tokens + self._settings.share)

    def take(self, now: float) -> bool:
        """Takes what one retry costs; false if it is not there."""
        earned = max(0.0, now - self._at) * self._settings.per_second
        self._tokens = min(self._settings.burst, self._tokens + earned)
        self._at = max(self._at, now)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


@dataclass(frozen=True, slots=True)
class Failure:
    """How a try failed.

    `transient`: another try may end otherwise. `shed`: it was turned away on this side, by an open
    breaker or a full bulkhead, which a retry would only press harder. `retry_after` is the callee's
    advice.
    """

    outcome: Outcome
    transient: bool = True
    shed: bool = False
    retry_after: float | None = None


class Retry:
    """The retries of the calls to one service."""

    def __init__(
        self, settings: RetrySettings | None = None, *, now: float = 0.0, random: Random | None = None
    ) -> None:
        self._settings = settings or RetrySettings()
        self._budget = RetryBudget(self._settings, now)
        self._random = random or Random()

    def call_made(self) -> None:
        """A call was made for the first time."""
        self._budget.call_made()

    def delay(self, now: float, deadline: float, tries: int, failure: Failure, *, harmless: bool) -> float | None:
        """In how many seconds to try again after so many tries; None for not at all.

        `harmless`: the contract marks the method as idempotent, or the call carries a key.
        """
        if not harmless or tries >= self._settings.tries or not _may_help(failure):
            return None
        delay = max(self._settings.backoff.delay(tries, self._random), failure.retry_after or 0.0)
        if now + delay >= deadline:
            return None
        return delay if self._budget.take(now) else None


def _may_help(failure: Failure) -> bool:
    if failure.shed or failure.outcome in (Outcome.DONE, Outcome.REFUSED):
        return False
    return failure.outcome is Outcome.NOT_SENT or failure.transient
