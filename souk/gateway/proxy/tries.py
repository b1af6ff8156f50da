"""Whether a request is tried again: only if that does no harm, helps, and the route or the kind of failure asks for it.

- Nothing was sent: another instance is tried at once.
- A kept connection ended before the answer began: another connection, once, for an idempotent method.
- An upstream of HTTP/2 says that it has not begun with the request: once more, for any method.
- The route has a retry policy: failed connections of idempotent methods, and answers with its codes, as often and with
  the pauses that it says, out of the upstream's budget.

Nothing is sent again whose body is gone.
"""

import math
from random import Random

from souk.gateway.http.answers import Answer, StreamedAnswer, SwitchedAnswer
from souk.gateway.http.request import Request
from souk.gateway.proxy.faults import FaultKind, UpstreamFault
from souk.gateway.proxy.pool import InstanceAddress
from souk.gateway.proxy.request_body import OutgoingBody
from souk.gateway.proxy.settings import FIRST_BYTE
from souk.gateway.proxy.spans import UNRECORDED, TryOutcome, TrySpan
from souk.gateway.routing.outgoing import OutgoingRequest
from souk.resilience.backoff import Backoff
from souk.resilience.retry import RetryBudget
from souk.telemetry.tracing.tracer import Tracer

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
"""RFC 9110, 9.2.2."""
_UNDONE = (FaultKind.NOT_SENT, FaultKind.UNPROCESSED)
_FINAL = (FaultKind.FULL, FaultKind.TOO_LARGE, FaultKind.UNREACHED)
_LONGEST_PAUSE = 1.0


class Tries:
    """The tries of one request. `asked` are the addresses that were tried; `fresh` asks for a new connection.

    `deadline` is when the whole request is late, by the event loop's time; None if it has no limit.
    """

    def __init__(self, outgoing: OutgoingRequest, method: str, budget: RetryBudget, random: Random, now: float) -> None:
        self._outgoing, self._budget, self._random = outgoing, budget, random
        self._harmless = method in IDEMPOTENT
        self._made = self._retries = self._elsewhere = 0
        self.asked: set[str] = set()
        self.fresh = False
        whole = outgoing.timeouts.request
        self.deadline = now + whole if whole else None
        budget.call_made()

    def traced(self, tracer: Tracer | None, request: Request, at: InstanceAddress) -> TryOutcome:
        """Begins the next try, at an instance; without a tracer it is not recorded."""
        self._made += 1
        if tracer is None:
            return UNRECORDED
        return TrySpan(tracer, request, self._outgoing.target, at, self._made - 1)

    def may_repeat(self, body: OutgoingBody) -> bool:
        """Whether the request could be sent again if its connection ends."""
        return self._harmless and body.repeatable

    def timeout(self, first_byte: float | None, now: float) -> float | None:
        """Returns the seconds for the next try; None without a limit. Raises UpstreamFault when the time is over.

        `first_byte` is what the upstream's settings say.
        """
        given = self._outgoing.timeouts
        each = first_byte if given.backend_request is None else given.backend_request
        if each is None and given.request is None:
            each = FIRST_BYTE
        if self.deadline is None:
            return each or None
        if self.deadline <= now:
            raise UpstreamFault(FaultKind.LATE, "the time for the request is over")
        return min(each or math.inf, self.deadline - now)

    def after_fault(self, fault: UpstreamFault, body: OutgoingBody, instances: int, now: float) -> float | None:
        """Returns the seconds to wait before another try; None for no other one."""
        if not body.repeatable:
            return None
        if fault.kind is FaultKind.NOT_SENT and self._elsewhere + 1 < instances:
            self._elsewhere += 1
            return 0.0
        again = fault.kind is FaultKind.UNPROCESSED or (fault.kind is FaultKind.STALE and self._harmless)
        if again and not self.fresh:
            self.fresh = True
            self.asked.clear()
            return 0.0
        if fault.kind in _FINAL or not (self._harmless or fault.kind in _UNDONE):
            return None
        return self._pause(now)

    def after_answer(self, status: int, body: OutgoingBody, now: float) -> float | None:
        """Returns the seconds to wait before another try; None if the answer is to be given."""
        retry = self._outgoing.retry
        if retry is None or status not in retry.codes or not body.repeatable:
            return None
        return self._pause(now)

    def _pause(self, now: float) -> float | None:
        retry = self._outgoing.retry
        if retry is None or self._retries >= retry.attempts or not self._budget.take(now):
            return None
        self._retries += 1
        backoff = Backoff(retry.backoff, max(retry.backoff, _LONGEST_PAUSE), jitter=0.0)
        return backoff.longest(self._retries) * (1.0 + 0.25 * self._random.random())


async def discard(answer: Answer) -> None:
    """Ends an answer that nobody gets."""
    if isinstance(answer, StreamedAnswer):
        await answer.body.aclose()
    elif isinstance(answer, SwitchedAnswer):
        answer.tunnel.close()
