"""Retry: whether a failed call is tried again, and when. Pure: time is an argument, in seconds.

A call is tried again only if a second try can do no harm, if it can help, if the deadline leaves time
for it, and if the budget allows it: retries must not overload a callee that is already weak.

Sources: Finagle, "Retry Budgets"; Marc Brooker, "Exponential Backoff And Jitter".
"""

from dataclasses import dataclass, field
from random import Random

from souk.kernel.errors import Outcome
from souk.resilience.backoff import Backoff


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """How often a call is tried: at most `tries` times in all, with the waits of `backoff` between them.

    The budget of retries grows by `share` with each call and by `per_second` each second, up to `burst`.
    """

    tries: int = 3
    backoff: Backoff = field(default_factory=lambda: Backoff(0.025, 1.0, jitter=1.0))
    share: float = 0.2
    per_second: float = 3.0
    burst: float = 30.0


class RetryBudget:
    """A token bucket: each retry takes one token. It starts full."""

    def __init__(self, settings: RetrySettings, now: float) -> None:
        self._settings = settings
        self._tokens = settings.burst
        self._at = now

    def call_made(self) -> None:
        """Adds to the budget for a call that was made for the first time."""
        self._tokens = min(self._settings.burst, self._tokens + self._settings.share)

    def tokens(self, now: float) -> float:
        """Returns how many retries it allows now."""
        earned = max(0.0, now - self._at) * self._settings.per_second
        return min(self._settings.burst, self._tokens + earned)

    def take(self, now: float) -> bool:
        """Takes the token for one retry; returns False if there is none."""
        self._tokens = self.tokens(now)
        self._at = max(self._at, now)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


@dataclass(frozen=True, slots=True)
class Failure:
    """How a try failed.

    `transient` means that another try may succeed. `shed` means that the caller's own process refused the
    call, by an open breaker or a full bulkhead, which a retry would only load more. `retry_after` is the wait
    that the callee advises, in seconds.
    """

    outcome: Outcome
    transient: bool = True
    shed: bool = False
    retry_after: float | None = None


class Retry:
    """Decides on the retries of the calls to one service.

    `made` counts those that it has allowed, and `refused` those for which the budget had no token.
    """

    def __init__(
        self, settings: RetrySettings | None = None, *, now: float = 0.0, random: Random | None = None
    ) -> None:
        self._settings = settings or RetrySettings()
        self._budget = RetryBudget(self._settings, now)
        self._random = random or Random()
        self.made = self.refused = 0

    def call_made(self) -> None:
        """Adds to the budget for a call that was made for the first time."""
        self._budget.call_made()

    def delay(self, now: float, deadline: float, tries: int, failure: Failure, *, harmless: bool) -> float | None:
        """Returns the seconds to wait before the next try, after `tries` tries; None for no further try.

        A wait that it returns has taken its token from the budget of retries, so the caller must make the try; without
        a token left there is none.

        `harmless` means that the contract marks the method as idempotent, or that the call carries a key.
        """
        if not harmless or tries >= self._settings.tries or not _may_help(failure):
            return None
        delay = max(self._settings.backoff.delay(tries, self._random), failure.retry_after or 0.0)
        if now + delay >= deadline:
            return None
        if not self._budget.take(now):
            self.refused += 1
            return None
        self.made += 1
        return delay

    def tokens(self, now: float) -> float:
        """Returns how many retries the budget allows now."""
        return self._budget.tokens(now)


def _may_help(failure: Failure) -> bool:
    if failure.shed or failure.outcome in (Outcome.DONE, Outcome.REFUSED):
        return False
    return failure.outcome is Outcome.NOT_SENT or failure.transient
