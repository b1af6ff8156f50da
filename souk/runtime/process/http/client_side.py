"""What the application may do with a client's HTTP/1.1 connection: a `AnsweredClient` of the gateway."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from souk.gateway.http.answers import Headers, SwitchedProtocol
from souk.gateway.http.connection import EXTENSION, RESPOND
from souk.gateway.http.request import WHOLE_BODY
from souk.runtime.process.http.gathering import MOST, Gathering

_CLOSE = (b"connection", b"close")
_CONTROLS = bytes(octet for octet in (*range(0x20), 0x7F) if octet != 0x09)


class Http1Client:
    """A connection's client. `cycle` is uvicorn's exchange of the request that is under way.

    `early` is what came after a request that asks for another protocol; None without such a request.
    """

    def __init__(self, gathering: Gathering, lost: Callable[[Exception | None], None]) -> None:
        self._gathering, self._lost = gathering, lost
        self.early: bytes | None = None
        self._when_gone: Callable[[], None] | None = None
        self.cycle: Any = None
        self._switched: SwitchedProtocol | None = None
        self.gone = False
        self.extensions: Any = {EXTENSION: self, RESPOND: self.respond, WHOLE_BODY: self.whole_body}

    def when_gone(self, call: Callable[[], None] | None) -> None:
        """Sets what is called when the client closes the connection; None takes it back."""
        self._when_gone = call

    def leave(self) -> None:
        """Notes that the client has closed the connection."""
        self.gone = True
        self.extensions = {}  # so that nothing refers to itself
        if self._when_gone is not None:
            self._when_gone()

    def whole_body(self) -> bytes | None:
        """Returns the request's body if all of it has come and nothing of it was received; else None."""
        cycle = self.cycle
        if cycle.more_body or cycle.disconnected or cycle.response_complete or cycle.waiting_for_100_continue:
            return None
        body, cycle.body = bytes(cycle.body), bytearray()
        cycle.message_event.clear()
        cycle.flow.resume_reading()
        return body

    def respond(self, status: int, headers: Headers, body: bytes) -> bool:
        """Sends a whole response, whose headers tell its length; returns False if the client must be waited for."""
        cycle = self.cycle
        if cycle.flow.write_paused or cycle.response_started:
            return False
        if cycle.disconnected:
            return True
        if _CLOSE in headers:
            cycle.keep_alive = False
        elif not cycle.keep_alive:
            headers = [*headers, _CLOSE]
        lines = [b"%b: %b\r\n" % pair for pair in (*cycle.default_headers, *headers)]
        head = b"".join(lines)
        # The ends of the lines are all that there may be.
        if len(head.translate(None, _CONTROLS)) != len(head) - 2 * len(lines):
            raise ValueError("a header of the response has a control character")
        cycle.waiting_for_100_continue, cycle.response_started = False, True
        self._gathering.write(b"".join((STATUS_LINE[status], head, b"\r\n", body)))
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self._gathering.close()
        cycle.on_response()
        return True

    def hold(self, octets: bytes) -> None:
        """Keeps what comes after a request that asks for another protocol, until it is known whether it is spoken."""
        self.early = (self.early or b"") + octets
        if len(self.early) > MOST:
            self._gathering.pause_reading()

    def switch(self, head: bytes, to: SwitchedProtocol) -> tuple[asyncio.Transport, bytes]:
        """Sends the head of a 101; from now on `to` gets what the client sends, and all other calls of the transport.

        Returns the transport, and what the client has sent already.
        """
        early, self.early = self.early or b"", b""
        self.cycle.disconnected = True  # to uvicorn: nothing that it knows goes on here
        self.cycle.response_started = True
        self._gathering.set_protocol(to)
        self._switched = to
        if self.gone:
            to.connection_lost(None)
        else:
            self._gathering.write(head)
            self._gathering.resume_reading()
        return cast("asyncio.Transport", self._gathering), early

    def go_away(self) -> None:
        """Tells a client whose connection goes on as another protocol that the server stops."""
        if self._switched is not None:
            self._switched.go_away()

    def switched_off(self, error: Exception | None) -> None:
        """Notes that the connection, which goes on as another protocol, is lost."""
        self._switched = None
        if not self.gone:
            self._lost(error)

    def break_off(self) -> None:
        """Ends the connection so that the client cannot take the response under way for a complete one."""
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        if self.cycle.scope["http_version"] == "1.0":  # an end would be that of the body
            self._gathering.reset()
        else:
            self._gathering.close()
