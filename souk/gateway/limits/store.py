"""The port of stores, which remember how much of each limit is used."""

from collections.abc import Awaitable, Sequence
from typing import NamedTuple, Protocol

from souk.gateway.limits.policy import LimitPolicy

Wanted = tuple[LimitPolicy, str]
"""A policy, and the key to count a request by."""


class Quota(NamedTuple):
    """What is left of one policy's limit for one key. `wait` and `reset` are in seconds.

    A `wait` above 0 is a refusal, and the time after which the request would conform. `reset` is the time after which
    all of the burst is there again.
    """

    policy: LimitPolicy
    remaining: int
    wait: float
    reset: float


class QuotaStore(Protocol):
    """Counts requests by key. The request counts against all of its limits or, when one refuses, against none."""

    def take(self, wanted: Sequence[Wanted]) -> list[Quota] | Awaitable[list[Quota]]:
        """Counts one request and returns a quota for each limit; what has to be waited for is an awaitable of that.

        Raises LimitsAway when a policy is to refuse all requests because the store does not answer.
        """
        ...

    def give_back(self, wanted: Sequence[Wanted]) -> None:
        """Takes back the counting of a request just now, because it was refused for another reason."""
        ...
