"""Counts the requests of an application, and logs those at which it failed."""

from collections.abc import MutableMapping
from typing import Any

from prometheus_client import CollectorRegistry, Histogram

from souk.hosting.adopted.application import Application, Message, Receive, Send
from souk.kernel.clock import Clock
from souk.telemetry.logs import logger
from souk.telemetry.metrics import LATENCY_BUCKETS
from souk.telemetry.traces import parse

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_FAILED = b"the application failed\n"
_LONGEST_PATH = 200

_log = logger("adopted")


class MeasuredApplication:
    """An ASGI application in front of another one, whose requests are observed in `registry`."""

    def __init__(self, application: Application, registry: CollectorRegistry, clock: Clock) -> None:
        self._application, self._clock = application, clock
        self._seconds = Histogram(
            "souk_adopted_request_seconds",
            "Time from a request's headers to the end of the application's answer.",
            ("method", "status"),
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Passes a request on, as ASGI 3 specifies. A failure is answered with 500, if no answer has begun."""
        status, began = 0, self._clock.monotonic()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._application(scope, receive, watched)
        except Exception:
            _log.exception("the application failed", path=scope["path"][:_LONGEST_PATH], trace_id=_trace_of(scope))
            if status:
                raise  # which makes the server end the connection
            await watched({"type": "http.response.start", "status": 500, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": _FAILED})
        finally:
            method = scope["method"] if scope["method"] in _METHODS else ""
            self._seconds.labels(method, str(status or "")).observe(self._clock.monotonic() - began)


def _trace_of(scope: MutableMapping[str, Any]) -> str:
    given = next((value for name, value in scope["headers"] if name == b"traceparent"), b"")
    trace = parse(given.decode("latin-1"))
    return "" if trace is None else trace.trace_id
