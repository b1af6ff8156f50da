"""WebSocket connections of an application that speaks ASGI: uvicorn's own protocol over `websockets`.

The gateway needs none of this: what it lets through it does not read. An adopted application gets messages.
"""

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from souk.runtime.process.http.protocol import WebProtocol


class WebSocketConnection(WebSocketsSansIOProtocol):
    """One WebSocket. `ended` is called once, when its connection is lost."""

    def __init__(self, *args: object, **settings: object) -> None:
        super().__init__(*args, **settings)  # type: ignore[arg-type]  # as uvicorn gives them
        self.ended = _nothing

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells the application, and forgets the connection."""
        super().connection_lost(exc)
        self.ended()

    def check(self, now: float) -> None:
        """Does nothing: uvicorn's pings find a peer that has left."""

    def answer_and_close(self) -> None:
        """Closes the connection, with code 1012 (service restart)."""
        self.shutdown()


class UpgradingProtocol(WebProtocol):
    """A connection that may go on as a WebSocket."""

    websockets = WebSocketConnection

    def _should_upgrade(self) -> bool:
        return HttpToolsProtocol._should_upgrade(self)

    def on_headers_complete(self) -> None:
        """As of every request; one that becomes a WebSocket is not started here."""
        if self.parser.should_upgrade() and self._should_upgrade():
            self._check_head()
            HttpToolsProtocol.on_headers_complete(self)
        else:
            super().on_headers_complete()

    def _upgraded(self, upgrade: httptools.HttpParserUpgrade, data: bytes) -> None:
        if not self._should_upgrade():
            super()._upgraded(upgrade, data)
            return
        self.handle_websocket_upgrade()
        self._unset_keepalive_if_required()
        successor = self._gathering.get_protocol()
        if self._taken:
            self._taken = False  # the other protocol forgets it
            successor.ended = lambda: self._all.gone(self._address)
        rest = data[upgrade.args[0] :]
        if rest:
            successor.data_received(rest)


def _nothing() -> None:
    """What happens at the end of a connection that nobody counts."""
