"""The HTTP server's protocol: uvicorn's own over httptools, held to limits and to strict framing.

    waiting -> head -> body -> (answered) -> waiting ...        each with its own time limit; see HttpLimits

The parser keeps octets until it can report a field or a part of a body, so octets are counted as they are fed to it.
A refused request is answered once, after the requests before it, and `Gathering` closes its connection.
"""

import asyncio
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from souk.gateway.http.problem import Problem
from souk.http1.framing import announces_body, fault, target_fault
from souk.runtime.process.http.client_side import Http1Client
from souk.runtime.process.http.connections import HttpServerState
from souk.runtime.process.http.gathering import Gathering
from souk.runtime.process.http.http2.connection import PREFACE, Http2Connection
from souk.runtime.process.http.limits import MOST_FIELDS, MOST_HEAD
from souk.runtime.process.http.refusals import TOO_LARGE, TOO_MANY, TOO_SLOW, goodbye, malformed, octets_of, unsound
from souk.runtime.process.http.tls import client_certificate
from souk.runtime.process.http.unframed import UnframedCycle

_SLICE = 4 * 1024
"""Octets that are fed to the parser at a time; in between the limits are checked, and whether a request waits."""


class _Stop(Exception):
    """Stops the parser from within one of its callbacks."""


class WebProtocol(HttpToolsProtocol):
    """One connection. `_since` is when its present state began: waiting, reading a head, or reading a body.

    `_kept` counts the octets that were fed to the parser since it last completed a head or reported a part of a body.
    """

    websockets: Any = "none"
    """The class of connections that go on as a WebSocket of this server; none by default."""

    def __init__(self, config: Any, server_state: Any, app_state: dict[str, Any], _loop: Any = None) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._all = cast("HttpServerState", server_state)
        self._limits = self._all.limits
        self._since = self.loop.time()
        self._asked = self._in_head = self._in_body = False
        self._kept = self._fields = self._head_size = self._body_octets = 0
        self._unread = b""
        self._refused: Problem | None = None
        self._opening: bytes | None = b""

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes a connection, or refuses it when there are too many."""
        self._gathering = Gathering(transport, self.loop)
        self._client = Http1Client(self._gathering, self.connection_lost)
        self._certificate = client_certificate(transport)
        self._client.extensions.update(self._certificate)
        super().connection_made(cast("asyncio.Transport", self._gathering))
        self._address = self.client[0] if self.client else ""
        welcome = self._all.welcome(self._address)
        self._taken = bool(welcome)
        if welcome is None:
            transport.abort()  # type: ignore[attr-defined]
        elif not welcome:
            self._leave(TOO_MANY)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets a connection that has ended."""
        if self._taken:
            self._all.gone(self._address)
        super().connection_lost(exc)
        self._client.leave()

    def data_received(self, data: bytes) -> None:
        """Reads octets, or keeps them while a request waits for its turn."""
        if self._opening is not None:
            data = self._opened(self._opening + data)
        if self._unread:
            self._unread += data
            self.flow.pause_reading()
        elif len(data) <= _SLICE and not self.pipeline:
            self._feed(data)
        else:
            self._read(data)

    def _opened(self, data: bytes) -> bytes:
        """Hands a connection that begins with HTTP/2's preface over. Returns what there is to read here."""
        self._opening = None
        if data.startswith(PREFACE) and self._taken:
            self._hand_over(data)
        elif PREFACE.startswith(data):
            self._opening = data  # the rest of the preface is under way, or another method's name
        else:
            return data
        return b""

    def _hand_over(self, data: bytes) -> None:
        asgi = {"version": "3.0", "spec_version": "2.3"}
        common: dict[str, Any] = {"type": "http", "asgi": asgi, "scheme": self.scheme}
        common |= {"extensions": self._certificate, "root_path": self.root_path}
        common |= {"client": self.client, "server": self.server}
        self._taken = False  # the other protocol forgets it
        successor = Http2Connection(self.app, self._all, self._gathering, common, lambda: self._all.gone(self._address))
        self.connections.discard(self)
        self.connections.add(successor)  # type: ignore[arg-type]  # uvicorn's type names its own protocols
        self._gathering.set_protocol(successor)
        successor.data_received(data)

    def _read(self, data: bytes) -> None:
        """Reads until a request must wait for its turn; the octets after it wait unread."""
        for start in range(0, len(data), _SLICE):
            if self.pipeline:
                self._unread = data[start:]
                self.flow.pause_reading()
                return
            self._feed(data[start : start + _SLICE])

    def _feed(self, data: bytes) -> None:
        if self._refused is not None or self._gathering.is_closing():
            self._gathering.discard(len(data))
            return None
        if self._client.early is not None:
            return self._client.hold(data)
        self._kept += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgraded(upgrade, data)
        except httptools.HttpParserError as error:
            self._refuse(self._refused or malformed(str(error)))
        else:
            if self._kept > MOST_HEAD:
                self._refuse(TOO_LARGE)

    def _upgraded(self, upgrade: httptools.HttpParserUpgrade, data: bytes) -> None:
        # The parser reads no further: the response, in HTTP/1.1, is the last one of the connection.
        self.cycle.keep_alive = False
        self._client.hold(data[upgrade.args[0] :])

    # Called by the parser.

    def on_message_begin(self) -> None:
        """Begins a request."""
        super().on_message_begin()
        self._in_head = True
        self._fields = self._head_size = 0
        self._since = self.loop.time()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes a field of the head. A field of the trailer is counted but not kept (RFC 9110, 6.5.1)."""
        self._fields += 1
        self._head_size += len(name) + len(value) + 4
        if self._fields > MOST_FIELDS or self._head_size > MOST_HEAD:
            self._stop(TOO_LARGE)
        if self._in_head:  # as uvicorn does it, without a call for each field
            name, value = name.lower(), value.strip(b" \t")
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Checks a complete head, and starts the request unless it is refused."""
        self._kept = self._head_size = 0
        self._check_head()
        self.scope["extensions"] = self._client.extensions
        if self.url == b"*":
            self.url = b"/"  # "*" is no URL
            super().on_headers_complete()
            self.scope["path"], self.scope["raw_path"] = "*", b"*"
        else:
            super().on_headers_complete()
        if self.scope["http_version"] == "1.0":
            self.cycle.__class__ = UnframedCycle
        self._in_head, self._in_body, self._asked = False, True, True
        self._body_octets, self._since = 0, self.loop.time()
        if self._all.draining:
            self.cycle.keep_alive = False

    def _check_head(self) -> None:
        wrong = fault(self.parser.get_http_version(), self.headers)
        if wrong is None and self.parser.should_upgrade() and announces_body(self.headers):
            wrong = 501, "a request that asks for another protocol has no body here"
        if wrong is None:
            wrong = target_fault(self.parser.get_method(), self.url, self.headers)
        if wrong is not None:
            self._stop(unsound(*wrong))

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._client.cycle = cycle
        super()._start_asgi_task(cycle, app)

    def _should_upgrade(self) -> bool:
        return False  # the application does that itself

    def on_body(self, body: bytes) -> None:
        """Takes a part of the body."""
        self._kept = 0
        self._body_octets += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Ends the body of a request."""
        self._kept, self._in_body = 0, False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Goes on after a response: with the next request if one waits, with a refusal, or by reading more octets."""
        self.server_state.total_requests += 1
        if self._gathering.is_closing():
            return
        self._since = self.loop.time()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self._refused is not None:
            self._leave(self._refused)
        else:
            unread, self._unread = self._unread, b""
            self._read(unread)
        if not self.pipeline and not self._unread:
            self.flow.resume_reading()

    # Ends of a connection.

    def check(self, now: float) -> None:
        """Ends the connection if its client is too slow."""
        limits = self._limits
        if self._gathering.is_stuck(now, limits):
            self._gathering.drop()
        elif self._gathering.is_closing() or self._refused is not None:
            pass
        elif self._in_body:
            if self.flow.read_paused or self.cycle.waiting_for_100_continue:  # the application is slow, not the client
                self._body_octets, self._since = 0, now
            elif now - self._since > limits.body + self._body_octets / limits.slowest:
                self._refuse(TOO_SLOW)
        elif self._answering:
            pass
        elif self._in_head:
            if now - self._since > limits.head:
                self._leave(TOO_SLOW)
        elif now - self._since > (limits.idle if self._asked else limits.first_octet):
            self._end_waiting()

    def answer_and_close(self) -> None:
        """Closes the connection after the response that is under way, if there is one."""
        if self._answering:
            self.cycle.keep_alive = False
            self._client.go_away()

    def shutdown(self) -> None:
        """Ends the connection: at once, or after the response to the request that is under way."""
        if self._answering:
            self.cycle.keep_alive = False
        elif self._in_head:
            self._leave(TOO_SLOW)
        else:
            self._end_waiting()

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _stop(self, problem: Problem) -> None:
        self._refused = problem
        raise _Stop

    def _refuse(self, problem: Problem) -> None:
        """Refuses a request, once all requests before it are answered."""
        self._refused = problem
        if not (self.pipeline if self._in_body else self._answering):
            self._leave(problem)

    def _end_waiting(self) -> None:
        """Ends a waiting connection, after its first request with 408: nothing was read (RFC 9110, 15.5.9)."""
        if self._asked:
            self._gathering.write(goodbye())
        self._gathering.close()

    def _leave(self, problem: Problem) -> None:
        """Sends the refusal, unless a response has begun, and closes; an application that still works on a request
        gets a disconnect."""
        if self._gathering.is_closing():
            return
        if self._in_body and not self._answering:
            self._gathering.close()
            return
        if self._answering:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self._gathering.drop()
                return
        self._gathering.write(octets_of(problem))
        self._gathering.close()
