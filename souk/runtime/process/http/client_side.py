"""What the application may do with a client's HTTP/1.1 connection: a `AnsweredClient` of the gateway."""

from collections.abc import Callable
from typing import Any

from souk.gateway.http.connection import EXTENSION
from souk.runtime.process.http.gathering import Gathering


class Http1Client:
    """A connection's client. `cycle` is uvicorn's exchange of the request that is under way."""

    def __init__(self, gathering: Gathering) -> None:
        self._gathering = gathering
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

    def break_off(self) -> None:
        """Ends the connection so that the client cannot take the response under way for a complete one."""
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        if self.cycle.scope["http_version"] == "1.0":  # an end would be that of the body
            self._gathering.reset()
        else:
            self._gathering.close()
