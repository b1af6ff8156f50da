"""The server of a process for calls over Connect: it accepts connections and passes calls to a dispatcher."""

import asyncio
from contextlib import suppress

import grpc

from souk.kernel.addresses import FREE_PORT, cannot_listen, socket_path
from souk.kernel.clock import Clock, SystemClock
from souk.kernel.errors import ConfigurationError
from souk.rpc.call import Status
from souk.rpc.connect.request import Find, ServedContext
from souk.rpc.connect.server_connection import LINGER, ServerConnection
from souk.rpc.dates import Dating
from souk.rpc.server.dispatcher import Dispatcher
from souk.rpc.server.handling import STOPPED
from souk.rpc.tls import MutualTls
from souk.telemetry.logs import logger

CONNECTIONS = 4_096
"""The most connections that may be open; further ones are rejected."""
FIRST = 10.0
"""Seconds that a new connection may wait for its first request."""
IDLE = 75.0
"""Seconds that a connection may wait for its next request; callers close theirs well before."""
SLOW = 20.0
"""Seconds that a request may take to arrive, or an answer to be read, once it began."""
LAST_CALLS = 0.3
"""Seconds for which a stopping server still serves callers that do not know yet that it stops."""
_SWEEP = 1.0
_BACKLOG = 1_024
_log = logger("rpc")


class ConnectServer:
    """A Connect server that is running. `address` is where it listens, with the port that it got."""

    def __init__(
        self, dispatcher: Dispatcher, clock: Clock, connections: int = CONNECTIONS, tls: MutualTls | None = None
    ) -> None:
        self.address = ""
        self.clock = clock
        self.dating = Dating(clock)
        self.find: Find = dispatcher.find
        self.draining = False
        self.connections: set[ServerConnection] = set()
        self.running: dict[asyncio.Task[None], ServedContext] = {}
        self._most = connections
        self._tls = tls
        self._context = None if tls is None else tls.server()
        self._fault_logged = ""
        self._empty = asyncio.Event()
        self._closed = asyncio.Event()

    @property
    def port(self) -> int:
        """The port number of the address."""
        return int(self.address.rpartition(":")[2])

    async def listen(self, address: str) -> None:
        """Starts to accept connections. Raises ConfigurationError when the port is taken, or no socket can be made."""
        loop = asyncio.get_running_loop()
        try:
            self._listener = await self._bound(address, loop)
        except OSError as error:
            raise ConfigurationError(cannot_listen(address)) from error
        host, name = address.rpartition(":")[0], self._listener.sockets[0].getsockname()
        self.address = address if socket_path(address) else f"{host}:{name[1]}"
        self._sweeper = loop.call_later(_SWEEP, self._sweeps)

    async def _bound(self, address: str, loop: asyncio.AbstractEventLoop) -> asyncio.Server:
        path, (host, _, port) = socket_path(address), address.rpartition(":")
        if path:
            return await loop.create_unix_server(lambda: ServerConnection(self), path, backlog=_BACKLOG)
        return await loop.create_server(
            lambda: ServerConnection(self), host.strip("[]"), int(port), backlog=_BACKLOG, ssl=self._context
        )

    async def stop(self, grace: float | None = None) -> None:
        """Drains and stops the server; running requests may end within `grace` seconds.

        Every answer from now on ends its connection. For a moment requests are still served, on idle
        connections and on new ones; then new connections are refused, and idle ones are closed.
        """
        if self.draining:
            await self.wait_closed()
            return
        self.draining = True
        if grace:
            await asyncio.sleep(min(grace, LAST_CALLS))
        self._listener.close()
        if grace:
            await self._drain(grace - LAST_CALLS)
        await self._end()

    async def wait_closed(self) -> None:
        """Waits until the server has stopped."""
        await self._closed.wait()

    def welcome(self, connection: ServerConnection) -> bool:
        """Counts a connection. Returns false when there are too many."""
        self.connections.add(connection)
        self._empty.clear()
        return len(self.connections) <= self._most

    def gone(self, connection: ServerConnection) -> None:
        """Forgets a connection that has ended."""
        self.connections.discard(connection)
        if not self.connections:
            self._empty.set()

    def sweep(self) -> None:
        """Closes connections that are idle too long or too slow; called every second."""
        now = self.clock.monotonic()
        for connection in list(self.connections):
            took = now - connection.since
            if connection.stuck and took > SLOW:
                connection.abort()
            elif took > _longest(connection) and not connection.handling:
                connection.leave()

    async def _drain(self, grace: float) -> None:
        for connection in list(self.connections):
            if connection.idle:
                connection.leave()
        await self._emptied(grace)

    async def _emptied(self, seconds: float) -> None:
        if self.connections and seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._empty.wait()

    async def _end(self) -> None:
        for task, context in list(self.running.items()):
            context.finish(Status(grpc.StatusCode.UNAVAILABLE, STOPPED))
            task.cancel()
        if self.running:
            await asyncio.wait(list(self.running), timeout=LINGER)
        for connection in list(self.connections):
            connection.leave()
        await self._emptied(LINGER)
        for connection in list(self.connections):
            connection.abort()
        self._sweeper.cancel()
        await self._listener.wait_closed()
        self._closed.set()

    def _sweeps(self) -> None:
        self._sweeper = asyncio.get_running_loop().call_later(_SWEEP, self._sweeps)  # before anything can fail
        self.sweep()
        self._renew()

    def _renew(self) -> None:
        """Takes changed certificates; when they cannot be used it goes on with the old ones, and logs why, once."""
        if self._tls is None or self._context is None:
            return
        try:
            self._tls.renew(self._context)
            self._fault_logged = ""
        except ConfigurationError as error:
            if str(error) != self._fault_logged:
                _log.warning("changed certificates are not taken yet", error=str(error))
            self._fault_logged = str(error)


def _longest(connection: ServerConnection) -> float:
    if not connection.idle:
        return SLOW
    return IDLE if connection.asked else FIRST


async def serve_connect(
    dispatcher: Dispatcher,
    address: str = FREE_PORT,
    clock: Clock | None = None,
    connections: int = CONNECTIONS,
    tls: MutualTls | None = None,
) -> ConnectServer:
    """Starts to serve a dispatcher's unary methods at host:port or unix:PATH; port 0 takes any free port.

    It accepts at most `connections` at once, and rejects further ones.
    Raises ConfigurationError when the port is taken, or no socket can be made.
    """
    server = ConnectServer(dispatcher, clock or SystemClock(), connections, tls)
    await server.listen(address)
    return server
