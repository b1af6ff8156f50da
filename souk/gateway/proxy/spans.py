"""The client span of each try of a request to an upstream, by OpenTelemetry's conventions for HTTP.

A query is not recorded: it may hold what is private.
"""

from souk.gateway.http.request import Request
from souk.gateway.log import LONGEST_PATH, METHODS
from souk.gateway.proxy.faults import UpstreamFault
from souk.gateway.proxy.pool import InstanceAddress
from souk.telemetry.tracing.span import AttributeValue, SpanKind
from souk.telemetry.tracing.tracer import Tracer

_OTHER = "_OTHER"
_ERROR = 400
"""From this status on an answer is an error of its client, as the conventions have it."""
RETRIED = "retried"


class TryOutcome:
    """What became of a try. `traceparent` names its span to the upstream; empty if nothing is recorded."""

    traceparent = ""

    def failed(self, error: BaseException, *, expected: bool) -> None:
        """Notes why there was no answer; an `expected` error says nothing about the instance."""

    def ended(self, status: int, *, failed: bool | None, ejected: bool) -> None:
        """Ends it: with the status of the answer, 0 without one, with what the balancer was told of the instance, and
        with whether that is left out for a while now."""


UNRECORDED = TryOutcome()


class TrySpan(TryOutcome):
    """Records a try at an instance; `resends` counts the tries before it."""

    def __init__(self, tracer: Tracer, request: Request, target: bytes, at: InstanceAddress, resends: int) -> None:
        method = request.method if request.method in METHODS else _OTHER
        path = target.partition(b"?")[0][:LONGEST_PATH].decode("latin-1")
        attributes: dict[str, AttributeValue] = {
            "http.request.method": method,
            "url.full": f"{'https' if at.secure else 'http'}://{at.authority.decode()}{path}",
            "server.address": at.socket or at.host,
        }
        if at.port:
            attributes["server.port"] = at.port
        if resends:
            attributes["http.request.resend_count"] = resends
        self._span = tracer.start(method, SpanKind.CLIENT, request.traceparent, attributes)
        self._span.tracestate = request.tracestate
        if resends:
            self._span.reason = RETRIED
        self._error, self._expected = "", True
        self.traceparent = self._span.traceparent

    def failed(self, error: BaseException, *, expected: bool) -> None:
        self._error = error.kind.value if isinstance(error, UpstreamFault) else "cancelled"
        self._expected = expected

    def ended(self, status: int, *, failed: bool | None, ejected: bool) -> None:
        attributes, error = self._span.attributes, self._error
        if status:
            attributes["http.response.status_code"] = status
        if ejected:
            attributes["souk.upstream.ejected"] = True
        if not error and status >= _ERROR:
            error, self._expected = str(status), not failed
        elif not error and failed is not False:
            error, self._expected = "broken off" if failed else "cancelled", not failed
        self._span.end(error, expected=self._expected)
