"""The connections to one instance of an upstream in HTTP/2: as few as the requests under way need."""

import asyncio
import ssl
from collections.abc import Callable

from souk.gateway.proxy.faults import FaultKind, UpstreamFault
from souk.gateway.proxy.http2.connection import Http2UpstreamConnection
from souk.gateway.proxy.pool import InstanceAddress
from souk.gateway.proxy.settings import UpstreamSettings

ALPN = "h2"


class Http2Pool:
    """The connections to one instance. While one is made, requests wait for it rather than make another."""

    def __init__(self, address: str, settings: UpstreamSettings, tls: Callable[[], ssl.SSLContext]) -> None:
        self.address = InstanceAddress.of(address)
        self._settings, self._tls = settings, tls
        self._open: set[Http2UpstreamConnection] = set()
        self._making = asyncio.Lock()
        self._closed = False

    async def connection(self) -> Http2UpstreamConnection:
        """Gives a connection on which a request can begin at once. Raises UpstreamFault NOT_SENT or FULL."""
        found = self._found()
        if found is not None:
            return found
        async with self._making:
            found = self._found()
            if found is None:
                found = await self._connect()
            return found

    def _found(self) -> Http2UpstreamConnection | None:
        oldest = asyncio.get_running_loop().time() - self._settings.keep_for
        for one in list(self._open):
            if one.idle and one.used and one.since <= oldest:
                one.close()
            elif one.has_room:
                return one
        return None

    async def _connect(self) -> Http2UpstreamConnection:
        if len(self._open) >= self._settings.connections:
            raise UpstreamFault(FaultKind.FULL, f"{self._settings.connections} connections are in use")
        made: Http2UpstreamConnection | None = None
        try:
            async with asyncio.timeout(self._settings.connect):
                made = await self._made()
                await made.greeted
        except TimeoutError:
            raise UpstreamFault(FaultKind.NOT_SENT, "no connection in time") from None
        except OSError as error:
            raise UpstreamFault(FaultKind.NOT_SENT, f"no connection: {error}") from error
        finally:
            if made is not None and not made.greeted.done():
                made.transport.abort()
        if not made.alive:
            raise UpstreamFault(FaultKind.NOT_SENT, "the connection ended at once")
        self._open.add(made)
        if self._closed:
            made.close()
        return made

    async def _made(self) -> Http2UpstreamConnection:
        loop, address = asyncio.get_running_loop(), self.address

        def protocol() -> Http2UpstreamConnection:
            return Http2UpstreamConnection(self._settings, self._open.discard)

        if address.socket:
            return (await loop.create_unix_connection(protocol, address.socket))[1]
        tls = self._tls() if address.secure else None
        transport, made = await loop.create_connection(protocol, address.host, address.port, ssl=tls)
        if tls is not None:
            agreed = transport.get_extra_info("ssl_object").selected_alpn_protocol()
            if agreed != ALPN:
                transport.abort()
                raise UpstreamFault(FaultKind.NOT_SENT, "the upstream does not speak HTTP/2")
        return made

    def counts(self) -> tuple[int, int]:
        """Counts the connections without a request, and all others."""
        idle = sum(one.idle for one in self._open)
        return idle, len(self._open) - idle

    def close(self) -> None:
        """Ends the connections once their requests have ended. A late request still gets one of its own."""
        self._closed = True
        for one in list(self._open):
            one.close()
