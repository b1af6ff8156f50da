"""A gateway's share of one key: pure, with the time as an argument, in microseconds of a clock that never goes back.

    nothing known --ask--> some taken ahead --used up, or given back after LIFETIME--> nothing known
                     '---> none left: refused here until PAUSE is over -------------'

Requests that are taken ahead are counted in Redis at once, and may be used for LIFETIME. So what all gateways together
admit in a span of time was taken in that span, or up to LIFETIME before it. What is left then is given back within
GRACE, or forgotten. When the key had all of its burst again in between, that gives back what time has already given
back, but no more than what comes back in LIFETIME and GRACE. Together that is as much beyond the limit as its rate
allows in SLACK, however many gateways there are: 0.9 % of the quota of a minute.
"""

from typing import Any

from souk.gateway.limits.gcra import Rate

LIFETIME = 250_000
"""How long requests that were taken ahead may be used."""
GRACE = 50_000
"""How long after that they can be given back."""
SLACK = 2 * LIFETIME + GRACE
"""The time for which the rate may pass beyond the limit, at most."""
PAUSE = 100_000
"""The least time between two questions about a key that has none left, unless half of its burst is back sooner."""


class LocalShare:
    """What is known of one key.

    `cells` are requests that were taken ahead, to be used before `until`; `watched` says that somebody will look then.
    `flight` is the question to Redis that is under way, and `waiting` counts the requests that need its answer.
    """

    __slots__ = (
        "_ahead",
        "_answered_at",
        "_asked",
        "_before",
        "_refused",
        "_slot",
        "cells",
        "flight",
        "until",
        "waiting",
        "watched",
    )

    def __init__(self) -> None:
        self.cells = self.waiting = 0
        self.flight: Any = None
        self.watched = False
        self.until = self._refused = self._ahead = self._answered_at = 0
        self._slot = self._asked = self._before = 0

    def note(self, now: int) -> None:
        """Counts a request, whatever becomes of it: how many come in LIFETIME says how many to take ahead."""
        if now - self._slot >= LIFETIME:
            self._before = self._asked if now - self._slot < 2 * LIFETIME else 0
            self._slot, self._asked = now, 0
        self._asked += 1

    def has(self, now: int) -> bool:
        """Whether a request can go on without a question."""
        return self.cells > 0 and now < self.until

    def refuses(self, now: int) -> bool:
        """Whether a request is refused without a question; only if it has none."""
        return now < self._refused

    def ask_again(self) -> None:
        """Forgets that none is left: it was so at another rate."""
        self._refused = 0

    def landed(self, _: object) -> None:
        """Notes that the question under way has ended."""
        self.flight = None

    @property
    def want(self) -> int:
        """How many to take: for those that wait, as many as came in the LIFETIME before, or a quarter of what has come
        since."""
        return max(1, self.waiting, self._before, self._asked // 4)

    def answered(self, rate: Rate, taken: int, ahead: int, sent: int, now: int) -> None:
        """Learns the answer to a question that was sent at `sent`; none taken need not mean that none is left."""
        self.cells = taken + (self.cells if now < self.until else 0)
        # The time of sending, because Redis may have counted as early as that.
        self.until, self._ahead, self._answered_at = sent + LIFETIME, ahead, now
        if ahead + rate.interval > rate.capacity:
            self._refused = now + max(ahead + rate.interval - rate.capacity, min(PAUSE, rate.capacity // 2))

    def expired(self, now: int) -> int:
        """Takes away what is too old to be used; returns how much of it is to be given back."""
        if not self.cells or now < self.until:
            return 0
        left, self.cells = self.cells, 0
        return left if now <= self.until + GRACE else 0

    def ahead(self, rate: Rate, now: int) -> int:
        """Returns how far ahead the TAT lies, as far as it is known here; what is taken ahead is not used yet."""
        return max(0, self._ahead - (now - self._answered_at) - (self.cells * rate.interval if now < self.until else 0))

    def wait(self, rate: Rate, now: int) -> int:
        """Returns how long a request that is refused here has to wait, at least 1."""
        return max(1, self._ahead - (now - self._answered_at) + rate.interval - rate.capacity)

    def idle(self, now: int) -> bool:
        """Whether nothing is lost when it is forgotten."""
        return self.flight is None and now >= max(self.until, self._refused, self._slot + 2 * LIFETIME)
