"""grpc.aio's servicer context, held to the rules of metadata that every transport has.

What grpc.aio cannot encode (text under a key that ends in `-bin`) it never answers at all, and the
caller waits for its deadline. Here such a call ends with INTERNAL, as one with a wrong key does, and
the log names the pair.
"""

from typing import Any, NoReturn

import grpc
import grpc.aio

from souk.rpc.call import Pairs
from souk.rpc.metadata import Given, checked
from souk.telemetry.logs import logger

INVALID = "Invalid metadata"

_log = logger("rpc")


class CheckedContext:
    """One call as its handler sees it; all but what sends metadata is grpc.aio's own."""

    __slots__ = ("_context", "_wrong")

    def __init__(self, context: Any) -> None:
        self._context = context
        self._wrong: tuple[Any, ...] = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def send_initial_metadata(self, initial_metadata: Given) -> None:
        """Ends the call when the metadata cannot be sent."""
        pairs = _carried(initial_metadata)
        if pairs is None:
            await self._refuse()
        await self._context.send_initial_metadata(pairs)

    def set_trailing_metadata(self, trailing_metadata: Given) -> None:
        """Metadata that cannot be sent decides how the call ends, unless other metadata takes its place."""
        pairs = _carried(trailing_metadata)
        self._wrong = tuple(trailing_metadata or ()) if pairs is None else ()
        self._context.set_trailing_metadata(pairs or ())

    def trailing_metadata(self) -> Any:
        """What was set, whether it can be sent or not."""
        return self._wrong or self._context.trailing_metadata()

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Given = ()) -> NoReturn:
        """As grpc.aio's, or INTERNAL."""
        if given := tuple(trailing_metadata or ()):
            self.set_trailing_metadata(given)
        if self._wrong:
            await self._refuse()
        await self._context.abort(code, details)
        raise AssertionError("abort always raises")

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        """As grpc.aio's, or INTERNAL."""
        await self.abort(status.code, status.details, status.trailing_metadata)

    def add_done_callback(self, callback: Any) -> None:
        """The callback is given this context."""
        self._context.add_done_callback(lambda _: callback(self))

    async def ended(self) -> None:
        """The handler has returned: aborts a call whose trailing metadata cannot be sent."""
        if self._wrong and not self._context.done():
            await self._refuse()

    async def _refuse(self) -> NoReturn:
        self._context.set_trailing_metadata(())
        self._context.set_details("")
        await self._context.abort(grpc.StatusCode.INTERNAL, INVALID)
        raise AssertionError("abort always raises")


def _carried(given: Given) -> Pairs | None:
    try:
        return checked(given)
    except (grpc.aio.InternalError, TypeError) as error:
        _log.error("a handler's metadata cannot be sent", problem=str(error))
        return None
