"""The connections to one instance of an upstream: kept ones are used again, the last used first."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from souk.discovery.registry import Instance
from souk.gateway.proxy.connection import UpstreamConnection
from souk.gateway.proxy.faults import FaultKind, UpstreamFault
from souk.gateway.proxy.settings import UpstreamSettings
from souk.kernel.addresses import UNIX, socket_path

HTTP = "http"
"""The key in an instance's metadata for the port, or the address of the socket, of its HTTP server."""


@dataclass(frozen=True, slots=True)
class InstanceAddress:
    """Where an instance listens: a host and a port, or the path of a socket. `authority` is for the header Host."""

    host: str
    port: int
    authority: bytes
    secure: bool = False
    socket: str = ""

    @classmethod
    def of(cls, url: str) -> "InstanceAddress":
        """Reads `http://host:port`, `https://host`, `host:port` or `unix:PATH`. Raises ValueError."""
        if url.startswith(UNIX):
            return cls("", 0, b"localhost", socket=socket_path(url))
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"an upstream is http:// or https://, and a host: {url}")
        secure = parts.scheme == "https"
        authority = parts.netloc.rpartition("@")[2].encode("ascii")
        return cls(parts.hostname, parts.port or (443 if secure else 80), authority, secure)


class InstancePool:
    """The connections to one instance. `now` gives the time of the event loop."""

    def __init__(self, address: str, settings: UpstreamSettings, tls: Callable[[], ssl.SSLContext]) -> None:
        self.address = InstanceAddress.of(address)
        self._settings, self._tls = settings, tls
        self._idle: list[UpstreamConnection] = []
        self._open: set[UpstreamConnection] = set()
        self._making = 0
        self._closed = False

    def kept(self, *, surely: bool) -> UpstreamConnection | None:
        """Takes a kept connection; None if there is none. With `surely` the system is asked whether it is still open:
        for a request that cannot be sent a second time."""
        oldest = asyncio.get_running_loop().time() - self._settings.keep_for
        while self._idle:
            connection = self._idle.pop()
            if connection.alive and connection.since > oldest and not (surely and not connection.quiet):
                return connection
            connection.abort()
        return None

    async def connect(self) -> UpstreamConnection:
        """Makes a connection. Raises UpstreamFault NOT_SENT or FULL."""
        if len(self._open) + self._making >= self._settings.connections:
            raise UpstreamFault(FaultKind.FULL, f"{self._settings.connections} connections are in use")
        self._making += 1
        try:
            async with asyncio.timeout(self._settings.connect):
                connection = await self._made()
        except TimeoutError:
            raise UpstreamFault(FaultKind.NOT_SENT, "no connection in time") from None
        except OSError as error:
            raise UpstreamFault(FaultKind.NOT_SENT, f"no connection: {error}") from error
        finally:
            self._making -= 1
        self._open.add(connection)
        return connection

    async def _made(self) -> UpstreamConnection:
        loop, address = asyncio.get_running_loop(), self.address

        def protocol() -> UpstreamConnection:
            return UpstreamConnection(self._settings, self._gone)

        if address.socket:
            return (await loop.create_unix_connection(protocol, address.socket))[1]
        tls = self._tls() if address.secure else None
        return (await loop.create_connection(protocol, address.host, address.port, ssl=tls))[1]

    def counts(self) -> tuple[int, int]:
        """Counts the connections that are kept without a request, and all others."""
        return len(self._idle), len(self._open) - len(self._idle)

    def give_back(self, connection: UpstreamConnection, *, sent: bool) -> None:
        """Keeps a connection whose exchange is over, or ends it; `sent` says whether the whole request was sent."""
        connection.busy, connection.used = False, True
        if sent and connection.reusable and not self._closed and len(self._idle) < self._settings.kept:
            connection.since = asyncio.get_running_loop().time()
            self._idle.append(connection)
        elif not connection.transport.is_closing():
            connection.abort()

    def _gone(self, connection: UpstreamConnection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def close(self) -> None:
        """Ends the kept connections, and keeps none from now on. A late request still gets one of its own."""
        self._closed = True
        while self._idle:
            self._idle.pop().abort()


def http_address(instance: Instance) -> str:
    """Gives where an instance takes requests of HTTP: its own address, if it does not name another."""
    offered = instance.metadata.get(HTTP, "")
    if offered.isdigit():
        return f"{instance.address.rpartition(':')[0]}:{offered}"
    return offered if socket_path(offered) else instance.address
