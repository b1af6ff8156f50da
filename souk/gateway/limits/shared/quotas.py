"""Counts requests in Redis, together with other gateways."""

import asyncio
from collections.abc import Awaitable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from souk.gateway.http.problem import unavailable
from souk.gateway.limits.gcra import MICROSECONDS
from souk.gateway.limits.memory import MemoryQuotas, quota_of
from souk.gateway.limits.policy import LimitPolicy, WhenAway
from souk.gateway.limits.shared.questions import LEFT_ALONE, Question, Questions, microseconds
from souk.gateway.limits.shared.share import PAUSE, LocalShare
from souk.gateway.limits.shared.share_counts import ShareCounts
from souk.gateway.limits.shared.shares import Shares
from souk.gateway.limits.store import Quota, Wanted
from souk.kernel.clock import Clock
from souk.kernel.context import current
from souk.telemetry.tracing.tracer import Tracer

if TYPE_CHECKING:
    from redis.asyncio import Redis  # an optional extra

PATIENCE = 0.1
"""Seconds that a request waits for Redis at most; then it is decided without."""
ROUNDS = 4
"""How often a request asks while others take before it what its question has brought; then it is refused."""
_LIMITS = "limits"


class SharedQuotas:
    """A store in Redis. A request waits for it only if this gateway holds no share of one of its keys.

    There is one question at a time about a key, and it brings enough for all requests that wait. `patience` is how many
    seconds a request waits at most. `tracer` records the questions that requests wait for. `close` ends all questions.
    """

    def __init__(self, redis: "Redis", clock: Clock, patience: float = PATIENCE, tracer: Tracer | None = None) -> None:
        self.counts = ShareCounts()
        self._clock, self._shares = clock, Shares()
        self._questions = Questions(redis, clock, self.counts, patience, tracer)
        self._alone = MemoryQuotas(clock)

    def take(self, wanted: Sequence[Wanted]) -> list[Quota] | Awaitable[list[Quota]]:
        """Counts one request against all of the limits, or none. Raises Problem 503 for a policy that is closed."""
        now = microseconds(self._clock)
        shares = [self._shares.of(policy, key, now) for policy, key in wanted]
        for share in shares:
            share.note(now)
        if self.counts.away:
            if self._questions.may_try:
                self._ask(wanted, shares, now)  # nobody waits for it: it shows whether Redis is back
            return self._without(wanted)
        return self._here(wanted, shares, now) or self._there(wanted, shares)

    def give_back(self, wanted: Sequence[Wanted]) -> None:
        """Takes one request back: Redis is told, and nobody waits for that."""
        if self.counts.away:
            self._alone.give_back(wanted)
        else:
            self._questions.ask(Question(-1, wanted, _no_matter))

    async def close(self) -> None:
        """Ends the questions that are under way."""
        await self._questions.close()

    def _here(self, wanted: Sequence[Wanted], shares: Sequence[LocalShare], now: int) -> list[Quota] | None:
        """Decides by what this gateway holds; None if Redis has to be asked."""
        lacking = [not share.has(now) for share in shares]
        if True not in lacking:
            for share in shares:
                share.cells -= 1
            return [_allowed(policy, share, now) for (policy, _), share in zip(wanted, shares, strict=True)]
        refusing = [lacks and share.refuses(now) for lacks, share in zip(lacking, shares, strict=True)]
        if True not in refusing:
            return None
        rows = zip(wanted, shares, refusing, strict=True)
        return [_refused(policy, share, now) if no else _allowed(policy, share, now) for (policy, _), share, no in rows]

    async def _there(self, wanted: Sequence[Wanted], shares: Sequence[LocalShare]) -> list[Quota]:
        for share in shares:
            share.waiting += 1
        try:
            for _ in range(ROUNDS):
                flight = next((one.flight for one in shares if one.flight is not None), None)
                flight = flight or self._ask(wanted, shares, microseconds(self._clock))
                if not await self._questions.answered(flight):
                    return self._without(wanted)
                quotas = self._here(wanted, shares, microseconds(self._clock))
                if quotas is not None:
                    return quotas
        finally:
            for share in shares:
                share.waiting -= 1
        return [Quota(policy, 0, PAUSE / MICROSECONDS, PAUSE / MICROSECONDS) for policy, _ in wanted]

    def _ask(self, wanted: Sequence[Wanted], shares: Sequence[LocalShare], now: int) -> "asyncio.Future[bool]":
        """Asks for what the shares lack."""
        lacking = [one for one in zip(wanted, shares, strict=True) if not one[1].has(now) and one[1].flight is None]
        count = min((share.want for _, share in lacking), default=0)
        heed = partial(self._heed, lacking, now)
        question = Question(count, [one for one, _ in lacking], heed, current().traceparent)
        for _, share in lacking:
            share.flight = question.done
            question.done.add_done_callback(share.landed)
        self._questions.ask(question)
        return question.done

    def _heed(self, asked: Sequence[tuple[Wanted, LocalShare]], sent: int, taken: int, aheads: Sequence[int]) -> None:
        now = microseconds(self._clock)
        for (one, share), ahead in zip(asked, aheads, strict=True):
            self._return(one, share, now)
            share.answered(one[0].rate, taken, ahead, sent, now)
            if taken > share.waiting and not share.watched:
                self._watch(one, share, now)

    def _watch(self, one: Wanted, share: LocalShare, now: int) -> None:
        share.watched = True
        seconds = max(0, share.until - now) / MICROSECONDS
        asyncio.get_running_loop().call_later(seconds, self._check, one, share)

    def _check(self, one: Wanted, share: LocalShare) -> None:
        share.watched = False
        now = microseconds(self._clock)
        self._return(one, share, now)
        if share.cells:
            self._watch(one, share, now)

    def _return(self, one: Wanted, share: LocalShare, now: int) -> None:
        """Gives back what was taken ahead and is too old to be used."""
        left = share.expired(now)
        if left and not self.counts.away:
            self._questions.ask(Question(-left, [one], _no_matter))

    def _without(self, wanted: Sequence[Wanted]) -> list[Quota]:
        for policy, _ in wanted:
            self.counts.without[f"{policy.name} {policy.when_away}"] += 1
        if any(policy.when_away is WhenAway.CLOSED for policy, _ in wanted):
            raise unavailable(_LIMITS, LEFT_ALONE)
        return self._alone.take([one for one in wanted if one[0].when_away is WhenAway.LOCAL])


def _no_matter(taken: int, aheads: Sequence[int]) -> None:
    """Heeds the answer to a question that gives requests back."""


def _allowed(policy: LimitPolicy, share: LocalShare, now: int) -> Quota:
    return quota_of(policy, share.ahead(policy.rate, now), counted=True)


def _refused(policy: LimitPolicy, share: LocalShare, now: int) -> Quota:
    wait = share.wait(policy.rate, now)
    return Quota(policy, 0, wait / MICROSECONDS, share.ahead(policy.rate, now) / MICROSECONDS)
