"""The callee's end of a Connect connection: it answers each request before it reads the next.

    waiting -> reading -> handling -> waiting ... -> leaving

A connection that ends while a handler runs cancels the handler. Before the server closes an idle connection it
sends 408, which proves to a caller that is just sending a request that no handler saw it. It then receives and
discards data for a while, because closing at once would destroy that answer.
"""

import asyncio
from contextlib import suppress
from contextvars import Context
from typing import Protocol, cast

import grpc

from souk.http1.reader import BodyTooLarge, HeadTooLarge, Malformed, RequestReader
from souk.kernel.clock import Clock
from souk.rpc.call import Call, Pairs, Status
from souk.rpc.connect import request
from souk.rpc.connect.request import Find, Refused, ServedContext
from souk.rpc.dates import Dating
from souk.rpc.in_process.reply import RunningHandler
from souk.rpc.metadata import LIMIT
from souk.rpc.server.dispatcher import Served
from souk.rpc.server.handling import handle
from souk.rpc.transport import EXPIRED, MESSAGE_LIMIT

LINGER = 1.0
"""Seconds for which a connection still receives data, and discards it, after its last answer."""
_LONGEST = 1e7  # seconds; for a call without a deadline
_DISCARDED = 2 * MESSAGE_LIMIT
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class ConnectionServer(Protocol):
    """What a connection needs of its server."""

    clock: Clock
    dating: Dating
    find: Find
    draining: bool
    connections: "set[ServerConnection]"
    running: dict[asyncio.Task[None], ServedContext]

    def welcome(self, connection: "ServerConnection") -> bool:
        """Counts a connection. Returns whether there is room for it."""
        ...

    def gone(self, connection: "ServerConnection") -> None:
        """Forgets a connection that has ended."""
        ...


class ServerConnection(asyncio.Protocol):
    """One connection from a caller. `since` is when it began its present state: to wait, to read or to write."""

    def __init__(self, server: ConnectionServer) -> None:
        self._server = server
        self._reader = RequestReader(MESSAGE_LIMIT)
        self._running: RunningHandler | None = None
        self._handling = False
        self._leaving = False
        self._initial: Pairs = ()
        self._discarded = 0
        self._continued = False  # whether the head was admitted, so that the body may come
        self._asked = False
        self.since = server.clock.monotonic()
        self.stuck = False

    @property
    def idle(self) -> bool:
        """Whether nothing is under way: not even the first octet of a request has arrived."""
        return not (self._handling or self._leaving or self._reader.began)

    @property
    def asked(self) -> bool:
        """Whether a request has ever arrived."""
        return self._asked

    @property
    def handling(self) -> bool:
        """Whether a handler is running for it."""
        return self._handling

    @property
    def unread(self) -> int:
        """Octets that are written but not sent to the peer yet."""
        return self._transport.get_write_buffer_size()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._peer = _peer(transport.get_extra_info("peername"))
        if not self._server.welcome(self):
            self.leave(request.goodbye(503))

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.gone(self)
        self._leaving = True
        if self._running is not None:
            self._running.stop()
            self._running = None

    def data_received(self, data: bytes) -> None:
        if self._leaving:
            self._discard(data)
        elif self._handling:
            # No request is read before the answer is written; a peer that pipelines finds the connection closed.
            self._reader.surplus = True
            self._discard(data)
        else:
            self._read(data)

    def pause_writing(self) -> None:
        self.stuck, self.since = True, self._server.clock.monotonic()
        if not self._leaving:
            self._transport.pause_reading()  # a peer that does not read answers must not send more requests

    def resume_writing(self) -> None:
        self.stuck = False
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def leave(self, last_words: bytes | None = None) -> None:
        """Writes a last answer, by default 408, and ends the connection."""
        if self._leaving or self._transport.is_closing():
            return
        self._leaving = True
        self._transport.write(last_words or request.goodbye())
        if self._transport.can_write_eof():  # TLS cannot close one direction alone
            with suppress(OSError):  # the peer may be gone, and the loop may not know it yet
                self._transport.write_eof()
        asyncio.get_running_loop().call_later(LINGER, self._transport.abort)

    def abort(self) -> None:
        """Ends the connection at once, without an answer."""
        self._transport.abort()

    def _discard(self, data: bytes) -> None:
        self._discarded += len(data)
        if self._discarded > _DISCARDED:
            self._transport.abort()

    def _read(self, data: bytes) -> None:
        reader = self._reader
        if not reader.began:
            self.since = self._server.clock.monotonic()
            self._continued = False
        try:
            if reader.feed(data):
                self._whole()
            elif reader.in_body:
                self._coming()
        except Malformed as error:
            detail = f"this is not a valid HTTP/1.1 request: {error}"
            self._refuse(Status(grpc.StatusCode.INVALID_ARGUMENT, detail), error.http_status)
        except HeadTooLarge:
            detail = f"received metadata size exceeds hard limit ({LIMIT})"
            self._refuse(Status(grpc.StatusCode.RESOURCE_EXHAUSTED, detail), 431)
        except BodyTooLarge as error:
            detail = f"SERVER: Received message larger than max ({error.octets} vs. {MESSAGE_LIMIT})"
            self._refuse(Status(grpc.StatusCode.RESOURCE_EXHAUSTED, detail), 0)

    def _coming(self) -> None:
        """Checks the caller when the head is complete and the body is not, so that a refusal comes before the body."""
        if self._continued:
            return
        self._reader.expected()
        try:
            request.admit(self._reader, self._server.find)
        except Refused as refused:
            self.leave(self._refusal(refused, keep_alive=False))
            return
        if (self._reader.header(b"expect") or b"").lower() == b"100-continue":
            self._transport.write(_CONTINUE)
        self._continued = True

    def _refuse(self, status: Status, http_status: int) -> None:
        """Refuses a request that was not read to its end, and ends the connection."""
        self.leave(self._refusal(Refused(status, http_status), keep_alive=False))

    def _refusal(self, refused: Refused, *, keep_alive: bool) -> bytes:
        date = self._server.dating.now()
        return request.refusal(refused.status, (), keep_alive, date, refused.http_status, refused.headers)

    def _whole(self) -> None:
        self._asked = True
        try:
            served, call, agent = request.asked(self._reader, self._server.find, self._server.clock)
        except Refused as refused:
            self._answer(self._refusal(refused, keep_alive=self._keeps_alive()))
        else:
            self._start(served, call, agent)

    def _start(self, served: Served, call: Call, agent: str) -> None:
        server = self._server
        context = ServedContext(call, server.clock, self, self._peer, agent)
        self._handling = True
        self._initial = ()
        task = asyncio.get_running_loop().create_task(handle(served, call.request, context), context=Context())
        server.running[task] = context
        task.add_done_callback(server.running.__delitem__)

        def expire() -> None:
            running = self._running
            context.finish(EXPIRED)
            if running is not None:
                running.stop()

        self._running = RunningHandler(context, task, min(call.deadline - server.clock.monotonic(), _LONGEST), expire)

    # Called by the handler's context: the methods of CallerEnd.

    def began(self, initial: Pairs) -> None:
        self._initial = initial

    def finished(self, status: Status, message: bytes | None) -> None:
        if self._running is not None:
            self._running.ended()
            self._running = None
        self._handling = False
        if self._leaving:
            return
        keep_alive, date = self._keeps_alive(), self._server.dating.now()
        if status.code is grpc.StatusCode.OK:
            self._answer(request.answer(message or b"", self._initial, status.trailing, keep_alive, date))
        else:
            self._answer(request.refusal(status, self._initial, keep_alive, date))

    def _keeps_alive(self) -> bool:
        return self._reader.keep_alive and not (self._reader.surplus or self._server.draining)

    def _answer(self, octets: bytes) -> None:
        if not self._keeps_alive():
            self._end(octets)
            return
        self._transport.write(octets)
        self._reader.next()
        self.since = self._server.clock.monotonic()

    def _end(self, octets: bytes) -> None:
        if self._reader.surplus:
            self.leave(octets)
            return
        self._leaving = True
        self._transport.write(octets)
        self._transport.close()


def _peer(name: object) -> str:
    """Names a peer as gRPC does."""
    if not isinstance(name, tuple):
        return "unix:"
    host, port = name[0], name[1]
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"
