"""Records each request: one line in the log and one observation, without query values, bodies or tokens."""

from http import HTTPMethod

from prometheus_client import CollectorRegistry

from souk.gateway.http.answers import BodyLost, HttpAnswer
from souk.gateway.http.request import Request
from souk.kernel.clock import Clock
from souk.telemetry.latencies import Latencies, LatencySeries
from souk.telemetry.logs import logger, write_at_once

LONGEST_PATH = 200
CLIENT_GONE = 499
"""The status in log and metrics for a client that disconnected before its request was complete; never sent."""
_PART = "gateway"
METHODS = frozenset({*HTTPMethod, "REPORT", "PROPFIND", "SEARCH", "QUERY"})
"""Methods that may become a label."""
_READYZ = "/readyz"
_WATCHED = frozenset({"/healthz", _READYZ, "/metrics"})
"""Paths that monitoring asks for again and again."""
_MADE = frozenset({201, 202})


class RequestLog:
    """Records finished requests."""

    def __init__(self, registry: CollectorRegistry, clock: Clock) -> None:
        self._log, self._clock = logger(_PART), clock
        text = "Time from a request's headers to its answer."
        self._seconds = Latencies(registry, "souk_gateway_request_seconds", text, ("method", "route", "status"))
        self._children: dict[tuple[str, str, int], LatencySeries] = {}

    def finished(self, request: Request, route: str, status: int, seconds: float, made: str = "") -> None:
        """Logs one line, at debug level if routine, and makes one observation.

        `route` is empty if none matched. `made` is the path of what the request has made.
        """
        request.status = status
        # Any text of the client's must not become a label: neither before a route has matched, nor at a route that
        # takes any method.
        method = request.method if route and request.method in METHODS else ""
        key = (method, route, status)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._seconds.labels(*map(str, key))
        trace = request.trace
        child.observe(seconds, trace.trace_id if trace.sampled and request.span is not None else "")
        record = {
            "part": _PART,
            "method": request.method,
            "path": request.path[:LONGEST_PATH],
            "status": status,
            "ms": round(seconds * 1000, 2),
            "trace_id": trace.trace_id,
            "span_id": trace.span_id,
            "request_id": request.request_id,
            "caller": request.subject,
        }
        if made:
            record["location"] = made[:LONGEST_PATH]
        if request.limit:
            record["limit"] = request.limit
        if request.scope.get("scheme") == "https" and (certificate := request.certificate[0]):
            record["certificate"] = certificate
        if _is_routine(route, status):
            self._log.debug("request", **record)
        elif not write_at_once("request", record, self._clock.now()):
            self._log.info("request", **record)

    def failed(self, request: Request) -> None:
        """Logs an internal error with its traceback; call it while handling the exception."""
        self._log.exception("request failed", path=request.path[:LONGEST_PATH], trace_id=request.trace.trace_id)

    def broken_off(self, request: Request, error: Exception) -> None:
        """Logs that the rest of an answer could not be sent; call it while handling the exception."""
        where = {"path": request.path[:LONGEST_PATH], "trace_id": request.trace.trace_id}
        if isinstance(error, BodyLost):
            self._log.warning("response broken off", **where, reason=str(error))
        else:
            self._log.exception("response broken off", **where)


def made_by(answer: HttpAnswer) -> str:
    """Returns the path of what a request has made, so that its line is found by that id; "" if it has made nothing."""
    if answer.status not in _MADE:
        return ""
    return next((value.decode("latin-1") for name, value in answer.headers if name == b"location"), "")


def _is_routine(route: str, status: int) -> bool:
    """Returns whether a request was a monitoring request without a failure; not to be ready yet is no failure."""
    return route in _WATCHED and (status < 500 or (route == _READYZ and status == 503))
