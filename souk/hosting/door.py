"""What stands between the HTTP server and the gateway: it counts requests."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from souk.telemetry.traffic import Traffic

Application: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]


class Door:
    """An ASGI application around another one."""

    def __init__(self, application: Application) -> None:
        self.traffic = Traffic()
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI 3."""
        with self.traffic:
            await self._application(scope, receive, send)
