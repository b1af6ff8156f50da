"""The object that a stub returns at once for a unary call; it behaves as grpc.aio's UnaryUnaryCall."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, cast

import grpc
import grpc.aio

from souk.kernel.clock import Clock
from souk.rpc.call import Call, CallFailed, Pairs, Reply, Status, decoded, failed

CANCELLED = "Locally cancelled by application!"


class UnaryCall(grpc.aio.UnaryUnaryCall[Any, Any]):
    """A unary call that is under way.

    Its initial metadata comes with the answer and not earlier, because until then a layer may try the call again.
    """

    def __init__(self, call: Call, replied: asyncio.Future[Reply], clock: Clock) -> None:
        self._call = call
        self._replied = replied
        self._clock = clock
        self._response: Any = None
        self._cancelled = False

    def __await__(self) -> Generator[Any, None, Any]:
        if self._cancelled:
            raise asyncio.CancelledError
        reply = yield from self._replied.__await__()
        if self._response is None:
            self._response = decoded(self._call, reply.message) if reply.decoded is None else reply.decoded
        return self._response

    def cancel(self) -> bool:
        if self.done():
            return False
        self._cancelled = True
        self._replied.cancel()
        return True

    def cancelled(self) -> bool:
        return self._cancelled or self._replied.cancelled()

    def done(self) -> bool:
        return self._cancelled or self._replied.done()

    def time_remaining(self) -> float | None:
        return max(self._call.deadline - self._clock.monotonic(), 0.0)

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        if self.done():
            callback(self)
        else:
            self._replied.add_done_callback(lambda _: callback(self))

    async def wait_for_connection(self) -> None:
        """Returns when the call has been answered, not earlier: a layer may send it more than once."""
        outcome = await self._outcome()
        if isinstance(outcome, CallFailed):
            raise outcome

    async def initial_metadata(self) -> grpc.aio.Metadata:
        outcome = await self._outcome()
        if isinstance(outcome, CallFailed):
            return outcome.initial_metadata() or grpc.aio.Metadata()
        return grpc.aio.Metadata.from_tuple(outcome.initial_metadata)

    @property
    def trailing(self) -> Pairs:
        """The trailing metadata of a call that was answered, at once and as it came. Raises CallFailed if it failed."""
        return self._replied.result().trailing_metadata

    async def trailing_metadata(self) -> grpc.aio.Metadata:
        outcome = await self._outcome()
        if isinstance(outcome, CallFailed):
            return outcome.trailing_metadata() or grpc.aio.Metadata()
        return grpc.aio.Metadata.from_tuple(outcome.trailing_metadata)

    async def code(self) -> grpc.StatusCode:
        outcome = await self._outcome()
        return outcome.code() if isinstance(outcome, CallFailed) else grpc.StatusCode.OK

    async def details(self) -> str:
        outcome = await self._outcome()
        return outcome.detail if isinstance(outcome, CallFailed) else ""

    async def debug_error_string(self) -> str:
        """Returns the details; there is nothing more."""
        return await self.details()

    async def _outcome(self) -> Reply | CallFailed:
        """Waits for the end of the call. Cancelling this wait does not cancel the call."""
        if not self.done():
            await asyncio.wait([self._replied])
        if self.cancelled():
            return failed(None, Status(grpc.StatusCode.CANCELLED, CANCELLED))
        error = self._replied.exception()
        if error is None:
            return self._replied.result()
        if isinstance(error, CallFailed):
            return error
        raise error


def started(replying: Awaitable[Reply]) -> asyncio.Future[Reply]:
    """Starts a call and returns its future reply. asyncio does not complain when nobody awaits its failure."""
    if isinstance(replying, asyncio.Future):
        return replying
    replied = asyncio.get_running_loop().create_task(cast("Coroutine[Any, Any, Reply]", replying))
    replied.add_done_callback(_retrieved)
    return replied


def _retrieved(replied: asyncio.Future[Reply]) -> None:
    if not replied.cancelled():
        replied.exception()
