"""When a request is sent again, and after which pause: pure, so that the sync and the async client decide alike."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from threading import Lock

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, 9.2.1)."""
NOTHING_DONE = frozenset({"RATE_LIMITED", "OVERLOADED"})
"""Codes, besides `..._UNAVAILABLE`, that say that nothing was done."""
LATER = frozenset({"REQUEST_IN_PROGRESS", "ATTEMPT_CLOSING"})
"""Codes that say that the same request with the same key will have an answer later."""
_PASSING = frozenset({408, 502, 503, 504})


class Failure(Enum):
    """What is known of a try that had no success."""

    NOTHING_DONE = auto()
    """The server did nothing with it: anything may be sent again."""
    UNKNOWN = auto()
    """It may have been carried out: only what does no harm twice may be sent again."""
    FINAL = auto()
    """The same request would have the same answer."""


def failure_of(status: int, code: str) -> Failure:
    """Returns what an answer of 400 or above tells. `code` is empty when something in between answered."""
    if code in NOTHING_DONE or (status == 503 and code.endswith("_UNAVAILABLE")):
        return Failure.NOTHING_DONE
    return Failure.UNKNOWN if code in LATER or status in _PASSING else Failure.FINAL


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and how long a call is tried. Times are in seconds.

    `tries` counts the first one. `deadline` is for the whole call, pauses included, and `try_timeout` for each
    step of a try: to connect, to send, and to wait for the answer. Pauses are random (full jitter), up to
    `first_pause` and twice as much each time, up to `longest_pause`, after what `Retry-After` says.

    All calls of a client share a budget: each call adds `budget` of a retry, and at most `burst` are kept. While most
    calls fail, there are so few retries more than calls, and a server in trouble is not asked four times as much.
    """

    tries: int = 4
    deadline: float = 30.0
    try_timeout: float = 10.0
    first_pause: float = 0.1
    longest_pause: float = 5.0
    budget: float = 0.2
    burst: float = 10.0

    def __post_init__(self) -> None:
        if self.tries < 1 or min(self.deadline, self.try_timeout) <= 0 or min(self.first_pause, self.longest_pause) < 0:
            raise ValueError("tries must be 1 or more, times above 0, and pauses not below 0")
        if not 0 <= self.budget <= 1 or self.burst < 0:
            raise ValueError("budget must be a share of calls, 0 to 1, and burst not below 0")


class RetryBudget:
    """How many retries the calls of one client have left; it is full at first. For any thread."""

    def __init__(self, retries: Retries) -> None:
        self._share, self._most = retries.budget, retries.burst
        self._left, self._lock = retries.burst, Lock()

    def earn(self) -> None:
        """Counts a call that begins."""
        with self._lock:
            self._left = min(self._left + self._share, self._most)

    def spend(self) -> bool:
        """Takes a retry; returns False if none is left."""
        with self._lock:
            if self._left < 1.0:
                return False
            self._left -= 1.0
            return True


@dataclass(slots=True)
class Attempts:
    """The tries of one call, which began at `began` on a monotonic clock."""

    retries: Retries
    repeatable: bool
    began: float
    budget: RetryBudget
    count: int = 0
    renewed: bool = False
    """Whether the token was renewed for this call because it was refused, which happens once at most."""
    randomly: Callable[[float, float], float] = random.uniform

    def time_left(self, now: float) -> float:
        """Returns how many seconds are left of the deadline."""
        return self.began + self.retries.deadline - now

    def next(self, now: float) -> float:
        """Counts a try that begins, and returns the time limit of each of its steps."""
        self.count += 1
        return max(min(self.retries.try_timeout, self.time_left(now)), 0.001)

    def renew(self, now: float) -> bool:
        """Takes the one renewal of a call's token; returns False if it was taken, or the deadline has passed."""
        taken, self.renewed = self.renewed, True
        return not taken and self.time_left(now) > 0

    def pause(self, failure: Failure, now: float, retry_after: float | None = None) -> float | None:
        """Returns how long to wait before the next try; None when there is none."""
        if failure is Failure.FINAL or self.count >= self.retries.tries:
            return None
        if failure is Failure.UNKNOWN and not self.repeatable:
            return None
        longest = min(self.retries.first_pause * 2 ** (self.count - 1), self.retries.longest_pause)
        # A pause is added to what the server says, so that all who were refused do not come back at once.
        pause = self.randomly(0.0, longest) + (retry_after or 0.0)
        return pause if pause < self.time_left(now) and self.budget.spend() else None
