"""A wrapper of grpc.aio's servicer context that applies the rules for metadata of every transport.

When grpc.aio cannot encode metadata (text under a key that ends in `-bin`) it never answers the call, and the
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
    """The handler's context of a call over gRPC; only the methods that send metadata differ from grpc.aio's."""

    __slots__ = ("_context", "_wrong")

    def __init__(self, context: Any) -> None:
        self._context = context
        self._wrong: tuple[Any, ...] = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def send_initial_metadata(self, initial_metadata: Given) -> None:
        """Sends the initial metadata. Ends the call with INTERNAL when it cannot be sent."""
        pairs = _carried(initial_metadata)
        if pairs is None:
            await self._refuse()
        await self._context.send_initial_metadata(pairs)

    def set_trailing_metadata(self, trailing_metadata: Given) -> None:
        """Sets the trailing metadata. If it cannot be sent, and is not replaced, the call ends with INTERNAL."""
        pairs = _carried(trailing_metadata)
        self._wrong = tuple(trailing_metadata or ()) if pairs is None else ()
        self._context.set_trailing_metadata(pairs or ())

    def trailing_metadata(self) -> Any:
        """Returns the metadata that was set, whether it can be sent or not."""
        return self._wrong or self._context.trailing_metadata()

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Given = ()) -> NoReturn:
        """Aborts as grpc.aio does, or with INTERNAL when the trailing metadata cannot be sent."""
        if given := tuple(trailing_metadata or ()):
            self.set_trailing_metadata(given)
        if self._wrong:
            await self._refuse()
        await self._context.abort(code, details)
        raise AssertionError("abort always raises")

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        """Aborts as grpc.aio does, or with INTERNAL when the trailing metadata cannot be sent."""
        await self.abort(status.code, status.details, status.trailing_metadata)

    def add_done_callback(self, callback: Any) -> None:
        """Calls back when the call is over, with this context."""
        self._context.add_done_callback(lambda _: callback(self))

    async def ended(self) -> None:
        """Aborts a call whose trailing metadata cannot be sent; called when the handler has returned."""
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
