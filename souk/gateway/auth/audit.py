"""The audit log: who was refused what, from where and why.

Records are of the part `audit`, so that they can be told from others and sent elsewhere. They hold no credentials: why
one was refused is said by the name of the check, and of an API key its public identifier alone.
"""

from prometheus_client import CollectorRegistry

from souk.gateway.http.problem import Problem
from souk.gateway.http.request import Request
from souk.kernel.clock import Clock
from souk.telemetry.logs import logger
from souk.telemetry.metrics import counter

REFUSALS = frozenset({401, 403})
RECORDS_A_SECOND = 20.0
BURST = 100.0
"""Records that may be written at once. What is over that is counted, and the next record says how many were left out:
whoever floods the gateway with forged tokens fills no disk."""
LONGEST_PATH = 200


class AuditLog:
    """Records refusals; `souk_gateway_refusals_total` counts all of them, also those that are not recorded."""

    def __init__(self, registry: CollectorRegistry, clock: Clock) -> None:
        self._log, self._clock = logger("audit"), clock
        self._count = counter(
            "souk_gateway_refusals",
            "Requests that were refused for who sent them, by code and by the check that failed.",
            ("code", "why"),
        )
        registry.register(self._count)
        self._room, self._since, self._left_out = BURST, clock.monotonic(), 0

    def refused(self, request: Request, problem: Problem) -> None:
        """Counts a refusal, and records it if there is room."""
        self._count.labels(problem.code, problem.why).inc()
        if not self._has_room():
            self._left_out += 1
            return
        left_out, self._left_out = self._left_out, 0
        self._log.warning(
            "refused",
            status=problem.status,
            code=problem.code,
            why=problem.why,
            caller=problem.who,
            address=request.client,
            method=request.method[:20],
            path=request.path[:LONGEST_PATH],
            route=request.route,
            trace_id=request.trace.trace_id,
            request_id=request.request_id,
            **({"left_out": left_out} if left_out else {}),
        )

    def _has_room(self) -> bool:
        now = self._clock.monotonic()
        self._room = min(BURST, self._room + (now - self._since) * RECORDS_A_SECOND)
        self._since = now
        if self._room < 1.0:
            return False
        self._room -= 1.0
        return True
