"""Asks Redis: one question after another, and those that came meanwhile together."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from contextvars import Context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from souk.gateway.limits.gcra import MICROSECONDS
from souk.gateway.limits.shared.script import TAKE, redis_key
from souk.gateway.limits.shared.share_counts import ShareCounts
from souk.gateway.limits.store import Wanted
from souk.kernel.clock import Clock
from souk.telemetry.logs import logger
from souk.telemetry.tracing.leaves import LeafSpan, leaves_of_redis
from souk.telemetry.tracing.tracer import Tracer

if TYPE_CHECKING:
    from redis.asyncio import Redis  # an optional extra

LEFT_ALONE = 1.0
"""Seconds between two attempts to reach a Redis that is unavailable, during which no request waits for it."""
_TOGETHER = 128
"""The most questions that are asked together: the server does nothing else meanwhile."""
_COMMAND = "EVALSHA"

_log = logger("limits")


@dataclass(eq=False, slots=True)
class Question:
    """A question for `count` requests of each key. `heed` is told the answer: how many were taken, and for each key how
    far ahead its time lies; `done` says then whether there was one. `traceparent` is that of the request that waits
    for it first; empty if none does."""

    count: int
    wanted: Sequence[Wanted]
    heed: Callable[[int, Sequence[int]], None]
    traceparent: str = ""
    done: "asyncio.Future[bool]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Questions:
    """Asks questions in their order, in a task of its own, so that one goes on when the request behind it has gone.

    `counts.away` says whether Redis is unavailable: it fails, or takes longer than `patience` seconds. `tracer` records
    each question in the trace of its request. `close` ends the task.
    """

    def __init__(
        self, redis: "Redis", clock: Clock, counts: ShareCounts, patience: float, tracer: Tracer | None
    ) -> None:
        from redis.exceptions import RedisError  # here, because it is an optional extra

        self._errors = (RedisError, OSError, TimeoutError)
        self._script = redis.register_script(TAKE)
        self._leaves = leaves_of_redis(tracer, redis)
        self._clock, self._counts, self._patience = clock, counts, patience
        self._waiting: deque[Question] = deque()
        self._asking: asyncio.Task[None] | None = None
        self._away_until = float("-inf")
        self._closed = False

    def ask(self, question: Question) -> None:
        """Asks a question as soon as the one before it is answered; once closed, none."""
        if self._closed:
            question.done.set_result(False)
            return
        self._waiting.append(question)
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().create_task(self._ask_all(), context=Context())

    async def answered(self, question: "asyncio.Future[bool]") -> bool:
        """Waits until a question is done, but not longer than `patience`; returns whether it is answered."""
        done, _ = await asyncio.wait({question}, timeout=self._patience)
        if not done:
            self.lost("it takes too long")
        return bool(done) and question.result()

    @property
    def may_try(self) -> bool:
        """Whether an unavailable Redis has been left alone for long enough; true once in that time."""
        now = self._clock.monotonic()
        if now < self._away_until:
            return False
        self._away_until = now + LEFT_ALONE
        return True

    def lost(self, why: str) -> None:
        """Notes that Redis is unavailable."""
        self._away_until = self._clock.monotonic() + LEFT_ALONE
        if not self._counts.away:
            self._counts.away = True
            _log.warning("Redis is unavailable: each rate limit does as its policy says for that", why=why)

    async def close(self) -> None:
        """Ends the questions that are under way."""
        self._closed = True
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        for question in self._waiting:
            question.done.set_result(False)

    async def _ask_all(self) -> None:
        while self._waiting:
            questions = [self._waiting.popleft() for _ in range(min(_TOGETHER, len(self._waiting)))]
            answers: Sequence[int] | None = None
            try:
                answers = await self._tell(questions)
            finally:
                self._heed(questions, answers)

    def _heed(self, questions: Sequence[Question], answers: Sequence[int] | None) -> None:
        at = 0
        for one in questions:
            if answers is not None:
                end = at + 1 + len(one.wanted)
                one.heed(answers[at], answers[at + 1 : end])
                at = end
            if not one.done.done():
                one.done.set_result(answers is not None)

    async def _tell(self, questions: Sequence[Question]) -> Sequence[int] | None:
        keys = [redis_key(policy.name, key) for one in questions for policy, key in one.wanted]
        arguments: list[int] = []
        for one in questions:
            arguments += (one.count, len(one.wanted))
            for policy, _ in one.wanted:
                arguments += (policy.rate.interval, policy.rate.capacity)
        self._counts.questions += len(questions)
        self._counts.round_trips += 1
        sent = self._clock.monotonic()
        try:
            with self._recorded(questions):
                answers: Sequence[int] = await self._script(keys, arguments)
        except self._errors as error:
            self.lost(type(error).__name__)
            return None
        if self._counts.away and self._clock.monotonic() - sent < self._patience:
            self._counts.away = False
            _log.warning("Redis is back: gateways share their rate limits again")
        return answers

    def _recorded(self, questions: Sequence[Question]) -> ExitStack:
        """Gives the block of one exchange: a leaf in the trace of each request that asks."""
        block = ExitStack()
        if self._leaves is not None:
            for one in questions:
                if one.traceparent:
                    leaf = block.enter_context(LeafSpan(self._leaves, _COMMAND, one.traceparent, None))
                    leaf.attributes = {"souk.limits": [policy.name for policy, _ in one.wanted]}
                    if len(questions) > 1:
                        leaf.attributes["db.operation.batch.size"] = len(questions)
        return block


def microseconds(clock: Clock) -> int:
    """Returns the clock's monotonic time in microseconds."""
    return int(clock.monotonic() * MICROSECONDS)
