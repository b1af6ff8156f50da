"""Counts the requests and the WebSockets of an application, and logs those at which it failed."""

from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any

from prometheus_client import CollectorRegistry, Gauge
from uvicorn.protocols.utils import ClientDisconnected

from souk.hosting.adopted.application import Application, Message, Receive, Send
from souk.kernel.clock import Clock
from souk.telemetry.latencies import Latencies
from souk.telemetry.logs import logger
from souk.telemetry.traces import parse

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_FAILED = b"the application failed\n"
_FAILURE = "the application failed"
_INTERNAL_ERROR = 1011
"""The code of a WebSocket that ends because its server failed (RFC 6455, 7.4.1)."""
_LONGEST_PATH = 200

_log = logger("adopted")


class MeasuredApplication:
    """An ASGI application in front of another one, whose requests are observed in `registry`."""

    def __init__(self, application: Application, registry: CollectorRegistry, clock: Clock) -> None:
        self._application, self._clock = application, clock
        text = "Time from a request's headers to the end of the application's answer."
        self._seconds = Latencies(registry, "souk_adopted_request_seconds", text, ("method", "status"))
        self._sockets = Gauge("souk_adopted_websockets", "WebSockets that are open.", registry=registry)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Passes a request or a WebSocket on, as ASGI 3 specifies.

        A failure at a request is answered with 500, if no answer has begun; one at a WebSocket closes it.
        """
        if scope["type"] == "websocket":
            await self._open(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _open(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        with self._sockets.track_inprogress():
            try:
                await self._application(scope, receive, send)
            except ClientDisconnected:
                raise
            except Exception:
                _log.exception(_FAILURE, path=scope["path"][:_LONGEST_PATH], trace_id=_trace_of(scope))
                with suppress(ClientDisconnected, RuntimeError):  # it may be closed already
                    await send({"type": "websocket.close", "code": _INTERNAL_ERROR})

    async def _answer(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        status, began = 0, self._clock.monotonic()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._application(scope, receive, watched)
        except Exception:
            _log.exception(_FAILURE, path=scope["path"][:_LONGEST_PATH], trace_id=_trace_of(scope))
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
