"""What the application may do with a client's HTTP/1.1 connection: a `AnsweredClient` of the gateway."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from souk.gateway.http.connection import EXTENSION
from souk.runtime.process.http.gathering import MOST, Gathering


class Http1Client:
    """A connection's client. `cycle` is uvicorn's exchange of the request that is under way.

    `early` is what came after a request that asks for another protocol; None without such a request.
    """

    def __init__(self, gathering: Gathering, lost: Callable[[Exception | None], None]) -> None:
        self._gathering, self._lost = gathering, lost
        self.early: bytes | None = None
        self._when_gone: Callable[[], None] | None = None
        self.cycle: Any = None
        self.gone = False
        self.extensions: Any = {EXTENSION: self}

    def when_gone(self, call: Callable[[], None] | None) -> None:
        """Sets what is called when the client closes the connection; None takes it back."""
        self._when_gone = call

    def leave(self) -> None:
        """Notes that the client has closed the connection."""
        self.gone = True
        self.extensions = {}  # so that nothing refers to itself
        if self._when_gone is not None:
            self._when_gone()

    def hold(self, octets: bytes) -> None:
        """Keeps what comes after a request that asks for another protocol, until it is known whether it is spoken."""
        self.early = (self.early or b"") + octets
        if len(self.early) > MOST:
            self._gathering.pause_reading()

    def switch(self, head: bytes, to: asyncio.Protocol) -> tuple[asyncio.Transport, bytes]:
        """Sends the head of a 101; from now on `to` gets what the client sends, and all other calls of the transport.

        Returns the transport, and what the client has sent already.
        """
        early, self.early = self.early or b"", b""
        self.cycle.disconnected = True  # to uvicorn: nothing that it knows goes on here
        self.cycle.response_started = True
        self._gathering.set_protocol(to)
        if self.gone:
            to.connection_lost(None)
        else:
            self._gathering.write(head)
            self._gathering.resume_reading()
        return cast("asyncio.Transport", self._gathering), early

    def switched_off(self, error: Exception | None) -> None:
        """Notes that the connection, which goes on as another protocol, is lost."""
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
