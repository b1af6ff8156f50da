"""The objects that a stub returns at once for a call with a stream in it; they behave as those of grpc.aio."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable
from typing import Any, TypeAlias

import grpc
import grpc.aio

from souk.kernel.clock import Clock
from souk.rpc.call import UNREADABLE, Call, CallFailed, Status, decoded, failed
from souk.rpc.client.unary_call import CANCELLED
from souk.rpc.transport import Stream

Requests: TypeAlias = AsyncIterable[Any] | Iterable[Any]

_COLLECTED = "Cancelled upon garbage collection!"
_FINISHED = "RPC already finished."
_HALF_CLOSED = 'RPC is half closed after calling "done_writing".'
_STYLE = "The iterator and read/write APIs may not be mixed on a single RPC."


class StreamingCall(grpc.aio.Call):
    """What calls with a stream in one direction or both share. A call is cancelled when it is garbage collected."""

    def __init__(self, call: Call, stream: Stream, clock: Clock) -> None:
        self._call = call
        self._stream = stream
        self._clock = clock

    def __del__(self) -> None:
        if hasattr(self, "_stream"):
            self._stream.cancel(_COLLECTED)

    def cancel(self) -> bool:
        return self._stream.cancel(CANCELLED)

    def cancelled(self) -> bool:
        ended = self._stream.ended()
        return ended is not None and ended.code is grpc.StatusCode.CANCELLED

    def done(self) -> bool:
        return self._stream.ended() is not None

    def time_remaining(self) -> float | None:
        return max(self._call.deadline - self._clock.monotonic(), 0.0)

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self._stream.add_done_callback(lambda: callback(self))

    async def wait_for_connection(self) -> None:
        await self._stream.connected()
        if self.done():
            await self._raise_for_status()

    async def initial_metadata(self) -> grpc.aio.Metadata:
        return grpc.aio.Metadata.from_tuple(await self._stream.initial_metadata())

    async def trailing_metadata(self) -> grpc.aio.Metadata:
        return grpc.aio.Metadata.from_tuple((await self._stream.status()).trailing)

    async def code(self) -> grpc.StatusCode:
        return (await self._stream.status()).code

    async def details(self) -> str:
        return (await self._stream.status()).details

    async def debug_error_string(self) -> str:
        """Returns the details; there is nothing more."""
        return await self.details()

    async def _raise_for_status(self) -> None:
        status = await self._stream.status()
        if status.details == CANCELLED and status.code is grpc.StatusCode.CANCELLED:
            raise asyncio.CancelledError
        if status.code is not grpc.StatusCode.OK:
            raise failed(self._call.method, status, await self._stream.initial_metadata())


class Receiving(StreamingCall):
    """A call with a stream of responses: iterate over it, or `read` until `grpc.aio.EOF`."""

    _iterator: AsyncIterator[Any] | None = None
    _reads = False

    def __aiter__(self) -> AsyncIterator[Any]:
        if self._reads:
            raise grpc.aio.UsageError(_STYLE)
        if self._iterator is None:
            self._iterator = self._messages()
        return self._iterator

    async def read(self) -> Any:
        if self.done():
            await self._raise_for_status()
            return grpc.aio.EOF
        if self._iterator is not None:
            raise grpc.aio.UsageError(_STYLE)
        self._reads = True
        return await self._next()

    async def _messages(self) -> AsyncIterator[Any]:
        while (message := await self._next()) is not grpc.aio.EOF:
            yield message

    async def _next(self) -> Any:
        try:
            message = await self._stream.receive()
        except asyncio.CancelledError:
            self.cancel()
            raise
        if message is None:
            await self._raise_for_status()
            return grpc.aio.EOF
        try:
            return decoded(self._call, message)
        except CallFailed:
            self._stream.cancel(UNREADABLE.details)
            raise


class Sending(StreamingCall):
    """A call with a stream of requests: give an iterator with the call, or `write` and then `done_writing`."""

    _encode: Callable[[Any], bytes]
    _feeder: asyncio.Task[None] | None = None
    _half_closed = False

    def feed(self, requests: Requests | None) -> None:
        """Sends what the iterator yields, if one is given."""
        if requests is not None:
            feeder = self._feeder = asyncio.get_running_loop().create_task(self._feed(requests))
            self._stream.add_done_callback(feeder.cancel)

    async def write(self, request: Any) -> None:
        self._raise_if_fed()
        if self.done():
            raise asyncio.InvalidStateError(_FINISHED)
        if self._half_closed:
            raise asyncio.InvalidStateError(_HALF_CLOSED)
        if not await self._send(request):
            await self._raise_for_status()

    async def done_writing(self) -> None:
        self._raise_if_fed()
        await self._close()

    def _raise_if_fed(self) -> None:
        if self._feeder is not None:
            raise grpc.aio.UsageError(_STYLE)

    async def _feed(self, requests: Requests) -> None:
        try:
            if isinstance(requests, AsyncIterable):
                async for request in requests:
                    if not await self._send(request):
                        return
            else:
                for request in requests:
                    if not await self._send(request):
                        return
            await self._close()
        except Exception:
            # As grpc.aio does: code that awaits the call sees that it was cancelled.
            self.cancel()

    async def _send(self, request: Any) -> bool:
        try:
            return await self._stream.send(self._encode(request))
        except asyncio.CancelledError:
            self.cancel()
            raise

    async def _close(self) -> None:
        if not (self._half_closed or self.done()):
            self._half_closed = True
            await self._stream.close_sending()


class UnaryStreamCall(Receiving, grpc.aio.UnaryStreamCall[Any, Any]):
    """A call with one request and a stream of responses."""


class StreamUnaryCall(Sending, grpc.aio.StreamUnaryCall[Any, Any]):
    """A call with a stream of requests and one response."""

    def __init__(self, call: Call, stream: Stream, clock: Clock, encode: Callable[[Any], bytes]) -> None:
        super().__init__(call, stream, clock)
        self._encode = encode
        self._response: asyncio.Future[bytes | None] | None = None

    def __await__(self) -> Generator[Any, None, Any]:
        return self._answer().__await__()

    async def _answer(self) -> Any:
        if self._response is None:
            self._response = asyncio.ensure_future(self._stream.receive())
        try:
            message = await asyncio.shield(self._response)
            await self._raise_for_status()
        except asyncio.CancelledError:
            self.cancel()
            raise
        if message is None:
            raise failed(self._call.method, _NO_ANSWER)
        return decoded(self._call, message)


class StreamStreamCall(Sending, Receiving, grpc.aio.StreamStreamCall[Any, Any]):
    """A call with a stream in each direction."""

    def __init__(self, call: Call, stream: Stream, clock: Clock, encode: Callable[[Any], bytes]) -> None:
        super().__init__(call, stream, clock)
        self._encode = encode


_NO_ANSWER = Status(grpc.StatusCode.INTERNAL, "the callee ended a call that has one answer without it")
