"""Metrics and health of a process that is not a gateway, over HTTP, for Prometheus and other monitoring.

GET /metrics    Prometheus' text format, or OpenMetrics with exemplars, as Accept prefers
GET /healthz    200 while the process lives
GET /readyz     200 while it takes calls, else 503
"""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from prometheus_client import CollectorRegistry

from souk.kernel.addresses import LOOPBACK
from souk.kernel.errors import ConfigurationError
from souk.runtime.process.http.limits import HttpLimits
from souk.runtime.process.http.server import serving
from souk.runtime.process.sockets import address_of, listen
from souk.telemetry.health import Health
from souk.telemetry.metrics import negotiated

_PLAIN = "text/plain; charset=utf-8"
_GRACE = 1.0

Message: TypeAlias = MutableMapping[str, Any]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Ready: TypeAlias = Callable[[], Awaitable[bool]]
Answer: TypeAlias = tuple[int, str, bytes]


class Scrape:
    """An ASGI application that answers these paths. `ready` tells whether the process takes calls."""

    def __init__(self, registry: CollectorRegistry, ready: Ready) -> None:
        self._registry, self._ready = registry, ready
        self._answers: Mapping[str, Callable[[str], Awaitable[Answer]]] = {
            "/metrics": self._metrics,
            "/healthz": self._health,
            "/readyz": self._readiness,
        }

    async def __call__(self, scope: Mapping[str, Any], receive: object, send: Send) -> None:
        """Answers a request, as ASGI 3 specifies."""
        accept = b",".join(value for name, value in scope["headers"] if name == b"accept").decode("latin-1")
        status, kind, body = await self._answer(scope["method"], scope["path"], accept)
        headers = [
            (b"content-type", kind.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
        ]
        if status == 405:
            headers.append((b"allow", b"GET, HEAD"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, method: str, path: str, accept: str) -> Answer:
        if path not in self._answers:
            return 404, _PLAIN, f"there are {', '.join(self._answers)}\n".encode()
        if method not in {"GET", "HEAD"}:
            return 405, _PLAIN, b"this can only be read\n"
        return await self._answers[path](accept)

    async def _metrics(self, accept: str) -> Answer:
        return 200, *negotiated(self._registry, accept)

    async def _health(self, accept: str) -> Answer:
        return 200, _PLAIN, b"alive\n"

    async def _readiness(self, accept: str) -> Answer:
        return (200, _PLAIN, b"ready\n") if await self._ready() else (503, _PLAIN, b"not ready\n")


@asynccontextmanager
async def scraped(
    port: int | None, registry: CollectorRegistry, ready: Ready, limits: HttpLimits | None = None, host: str = LOOPBACK
) -> AsyncIterator[str]:
    """Serves metrics and health at `host` inside the block; gives host:port.

    Without a port it serves nothing and gives "". Raises ConfigurationError, in one line, when the port is taken.
    """
    if port is None:
        yield ""
        return
    with _listening(host, port) as listener:
        async with serving(Scrape(registry, ready), listener, _GRACE, limits=limits or HttpLimits()):
            yield address_of(listener)


def _listening(host: str, port: int) -> socket.socket:
    try:
        return listen(host, port)
    except ConfigurationError:
        raise ConfigurationError(
            f"metrics cannot be served on {host}:{port}, which is taken or not this user's; "
            "choose another with --metrics-port, or 0 for any"
        ) from None


def _at_once() -> bool:
    return True


@dataclass(slots=True)
class Readiness:
    """Tells whether this process takes requests: it was switched on, `settled` has been true once, and no blocking
    probe of `health` fails. A dependency may be unreachable: only the requests that need it are refused."""

    health: Health
    settled: Callable[[], bool] = _at_once
    ready: bool = False
    _has_settled: bool = False

    async def __call__(self) -> bool:
        self._has_settled = self._has_settled or (self.ready and self.settled())
        return self.ready and self._has_settled and self.health.ready

    @contextmanager
    def on(self) -> Iterator[None]:
        """Switches the process on inside the block."""
        self.ready = True
        try:
            yield
        finally:
            self.ready = False
