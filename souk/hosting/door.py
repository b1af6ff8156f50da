"""What stands between the HTTP server and the gateway: it counts requests, and sends callers elsewhere
when this process leaves and others go on (a "lame duck")."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from souk.telemetry.traffic import Traffic

Message: TypeAlias = MutableMapping[str, Any]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Any, Any, Send], Awaitable[None]]

_CLOSE = (b"connection", b"close")


class Door:
    """An ASGI application around another one. Once it is `leaving`, each answer asks to connect anew."""

    def __init__(self, application: Application) -> None:
        self.traffic = Traffic()
        self.leaving = False
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        """ASGI 3."""
        with self.traffic:
            await self._application(scope, receive, self._closing(send) if self.leaving else send)

    def leave(self) -> None:
        """From now on callers are sent elsewhere."""
        self.leaving = True

    def _closing(self, send: Send) -> Send:
        async def sent(message: Message) -> None:
            if self.leaving and message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], _CLOSE]}
            await send(message)

        return sent
