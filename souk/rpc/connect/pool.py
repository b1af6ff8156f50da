"""The pool of connections to one address: a call takes an idle one, or waits for one."""

import asyncio
import random
from collections import deque
from contextvars import Context
from typing import cast

from grpc import StatusCode

from souk.kernel.addresses import socket_path
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError
from souk.resilience.backoff import Backoff
from souk.rpc.call import Status
from souk.rpc.connect.client_connection import ClientConnection
from souk.rpc.connect.reply import ConnectReply
from souk.rpc.tls import MutualTls
from souk.telemetry.logs import logger

CONNECT_TIMEOUT = 1.0
"""Seconds that an attempt to connect may take."""
CONNECTIONS = 256
"""The most connections that may be open to one address; further calls wait."""
IDLE = 15.0
"""Seconds for which an idle connection is kept."""
_BACKOFF = Backoff(initial=0.1, cap=1.0)
_log = logger("rpc")


class Pool:
    """The connections to one address, host:port or unix:PATH.

    An attempt to connect that failed is an answer only to the calls from before it: a later call makes another one at
    once. Only attempts for no such call come after a pause. With `tls` the callee at host:port must show a
    certificate of `service`.
    """

    def __init__(self, address: str, service: str, clock: Clock, tls: MutualTls | None = None) -> None:
        self.address = address
        self._service = service
        self._tls = tls
        self._host = "localhost" if socket_path(address) else address
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._idle: list[ClientConnection] = []
        self._open: set[ClientConnection] = set()
        self._waiting: deque[ConnectReply] = deque()
        self._connecting: set[asyncio.Task[None]] = set()
        self._heads: dict[str, str] = {}
        self._attempts = 0
        self._failures = 0
        self._fault_logged = False
        self._retry_at = 0.0
        self._retry: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def connected(self) -> bool:
        """Whether a connection is open."""
        return bool(self._open)

    @property
    def busy(self) -> bool:
        """Whether calls are under way or waiting."""
        return bool(self._waiting) or len(self._open) > len(self._idle)

    @property
    def replies(self) -> list[ConnectReply]:
        """The calls that are under way."""
        return [connection.reply for connection in self._open if connection.reply is not None]

    def send(self, reply: ConnectReply) -> None:
        """Sends a call over an idle connection, or else over the next one that becomes free."""
        while self._idle:
            connection = self._idle.pop()
            if connection.alive:
                connection.send(reply, reply.call.deadline - self._clock.monotonic())
                return
            connection.abort()
        reply.attempts_before = self._attempts
        self._waiting.append(reply)
        self._grow()

    def connect(self) -> None:
        """Begins to connect, unless a connection is open or the pause after a failed attempt is not over."""
        if not (self._open or self._connecting) and self._clock.monotonic() >= self._retry_at:
            self._start()

    async def reached(self) -> bool:
        """Tries to connect once, and returns whether a connection is open."""
        if not (self._open or self._connecting):
            self._start()
        if self._connecting:
            await asyncio.wait(self._connecting)
        return self.connected

    def trim(self) -> None:
        """Closes connections that have been idle too long; the oldest are first in the list."""
        limit = self._clock.monotonic() - IDLE
        while self._idle and self._idle[0].since < limit:
            self._idle.pop(0).abort()

    def leave(self) -> None:
        """Makes and keeps no more connections and fails waiting calls; calls that are under way may end."""
        self._closed = True
        while self._idle:
            self._idle.pop().abort()
        while self._waiting:
            self._waiting.popleft().fail(self._no_connection())

    async def abort(self) -> None:
        """Ends calls and attempts to connect that are under way."""
        for connection in list(self._open):
            connection.fail(Status(StatusCode.CANCELLED, "the channel was closed"))
        connecting = list(self._connecting)
        for task in connecting:
            task.cancel()
        await asyncio.gather(*connecting, return_exceptions=True)

    # Called by connections.

    def head(self, path: str) -> str:
        head = self._heads.get(path)
        if head is None:
            head = self._heads[path] = (
                f"POST {path} HTTP/1.1\r\nhost: {self._host}\r\nuser-agent: souk\r\n"
                "content-type: application/proto\r\nconnect-protocol-version: 1\r\n"
            )
        return head

    def free(self, connection: ClientConnection) -> None:
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft()
        if self._closed or (self._waiting and not connection.alive):
            connection.abort()
            return
        if self._waiting:
            reply = self._waiting.popleft()
            connection.send(reply, reply.call.deadline - self._clock.monotonic())
            return
        connection.since = self._clock.monotonic()
        self._idle.append(connection)

    def gone(self, connection: ClientConnection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if self._waiting:
            self._grow()

    def again(self, reply: ConnectReply) -> None:
        if not reply.done():
            self.send(reply)

    def _grow(self) -> None:
        """Makes as many connections as calls are waiting, within the limit."""
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft()
        if self._closed:
            self.leave()
        elif self._pauses():
            if self._retry is None:
                pause = self._retry_at - self._clock.monotonic()
                self._retry = self._loop.call_later(max(pause, 0.001), self._try_again)
        else:
            while len(self._connecting) < min(len(self._waiting), CONNECTIONS - len(self._open)):
                self._start()

    def _pauses(self) -> bool:
        """Whether all calls that are waiting have patience, and the pause after a failed attempt is not over."""
        if not self._waiting or self._clock.monotonic() >= self._retry_at:
            return False
        return all(reply.call.wait_for_ready for reply in self._waiting)

    def _start(self) -> None:
        self._attempts += 1
        task = self._loop.create_task(self._connect(self._attempts), context=Context())
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, number: int) -> None:
        connection = await self._attempt()
        self._connecting.discard(cast("asyncio.Task[None]", asyncio.current_task()))
        if connection is None:
            self._failed(number)
            return
        self._failures = 0
        self._fault_logged = False
        self._open.add(connection)
        self.free(connection)

    async def _attempt(self) -> ClientConnection | None:
        """Connects; returns None when that fails, or the server rejects the connection."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                connection = await self._connection()
        except (OSError, TimeoutError):
            return None
        except Exception as error:  # a fault on this side, such as certificates that cannot be used
            self._log_fault(error)
            return None
        if connection.alive:
            return connection
        connection.abort()
        return None

    async def _connection(self) -> ClientConnection:
        path = socket_path(self.address)
        if path:
            transport, connection = await self._loop.create_unix_connection(lambda: ClientConnection(self), path)
            if transport.get_extra_info("peername") is None:  # asyncio mistakes a full backlog for a connection
                raise ConnectionRefusedError
        else:
            host, _, port = self.address.rpartition(":")
            context, name = (None, None) if self._tls is None else (self._tls.client(), self._service)
            _, connection = await self._loop.create_connection(
                lambda: ClientConnection(self), host.strip("[]"), int(port), ssl=context, server_hostname=name
            )
        return connection

    def _log_fault(self, fault: Exception) -> None:
        """Logs why this side cannot connect, once until it can again."""
        if self._fault_logged:
            return
        self._fault_logged = True
        if isinstance(fault, ConfigurationError):
            _log.warning("a service cannot be connected to", service=self._service, error=str(fault))
        else:
            _log.error("a service cannot be connected to", service=self._service, exc_info=fault)

    def _failed(self, number: int) -> None:
        """Fails the calls without `wait_for_ready` from before an attempt; there are other attempts for the rest."""
        self._failures += 1
        self._retry_at = self._clock.monotonic() + _BACKOFF.longest(self._failures) * random.uniform(0.8, 1.2)
        waiting, self._waiting = self._waiting, deque()
        for reply in waiting:
            if not (reply.call.wait_for_ready or reply.attempts_before >= number):
                reply.fail(self._no_connection())
            elif not reply.done():
                self._waiting.append(reply)
        self._grow()

    def _try_again(self) -> None:
        self._retry = None
        if self._waiting:
            self._grow()

    def _no_connection(self) -> Status:
        return Status(StatusCode.UNAVAILABLE, f"no connection to {self._service}", sent=False)
