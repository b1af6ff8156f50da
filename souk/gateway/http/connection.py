"""The client's connection, as far as the HTTP server shows it to the gateway.

Our server offers it in the scope's extensions. Another ASGI server has no such extension: there a task waits for
`http.disconnect` instead, and a response that must not look complete ends with an exception.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

from souk.gateway.http.answers import SwitchingClient
from souk.gateway.http.request import ClientGone, Request, Scope

EXTENSION = "souk.connection"
"""The extension of the scope that holds a AnsweredClient."""

RESPOND = "souk.respond"
"""The extension of the scope that sends a whole response at once, in place of two messages of ASGI: a function of its
status, headers and body. It returns False if the client must be waited for; then the messages are sent."""


class AnsweredClient(SwitchingClient, Protocol):
    """What the gateway may do with a client's connection while it answers a request of it."""

    @property
    def gone(self) -> bool:
        """Whether the client has closed the connection."""
        ...

    def when_gone(self, call: Callable[[], None] | None) -> None:
        """Sets what is called when the client closes the connection; None takes it back."""
        ...

    def break_off(self) -> None:
        """Ends the connection so that the client cannot take the response under way for a complete one."""
        ...


def connection_of(scope: Scope) -> AnsweredClient | None:
    """Returns the client's connection; None if the server does not offer it."""
    extensions = scope.get("extensions")
    return extensions.get(EXTENSION) if extensions else None


class WhileConnected:
    """A block (`with`) that is cancelled when the client goes away; it then raises ClientGone.

    With a server that does not offer its connections this works only once the request's body is read.
    """

    __slots__ = ("_connection", "_gone", "_request", "_task", "_watching")

    def __init__(self, request: Request) -> None:
        self._request = request
        self._connection = connection_of(request.scope)
        self._task = cast("asyncio.Task[object]", asyncio.current_task())
        self._watching: asyncio.Task[None] | None = None
        self._gone = False

    def __enter__(self) -> None:
        if self._connection is not None:
            if self._connection.gone:
                raise ClientGone
            self._connection.when_gone(self._leave)
        elif not self._request.has_body:
            self._watching = asyncio.create_task(self._watch())

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._connection is not None:
            self._connection.when_gone(None)
        if self._watching is not None:
            self._watching.cancel()
        # If something else has cancelled the task too, then that is what counts.
        if self._gone and self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise ClientGone from None

    def _leave(self) -> None:
        self._gone = True
        self._task.cancel()

    async def _watch(self) -> None:
        await self._request.disconnected()
        self._leave()
