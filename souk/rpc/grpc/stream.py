"""The caller's end of a stream over gRPC."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import grpc
import grpc.aio

from souk.kernel.cancellation import is_cancelled
from souk.rpc.call import Call, CallFailed, Pairs, Status
from souk.telemetry.logs import logger

_log = logger("rpc")


class Connected(Protocol):
    """A gRPC connection that is ready."""

    @property
    def channel(self) -> grpc.aio.Channel: ...


class Connects(Protocol):
    """What a stream needs of its transport."""

    async def connected(self, call: Call) -> Connected: ...
    def remaining(self, call: Call) -> float: ...


class GrpcStream:
    """A stream of grpc.aio, by its read and write methods. One task makes the call and awaits its status."""

    def __init__(self, transport: Connects, call: Call, one_request: bool) -> None:
        loop = asyncio.get_running_loop()
        self._transport = transport
        self._call = call
        self._one_request = one_request
        self._made: asyncio.Future[Any] = loop.create_future()
        self._status: asyncio.Future[Status] = loop.create_future()
        self._callbacks: list[Callable[[], object]] = []
        self._task = loop.create_task(self._follow())

    async def send(self, message: bytes) -> bool:
        made = await self._begun()
        if made is None or self._status.done():
            return False
        try:
            await made.write(message)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return False
        except asyncio.CancelledError:
            self._raise_if_own()
            return False
        return True

    async def close_sending(self) -> None:
        made = await self._begun()
        if made is not None:
            await made.done_writing()

    async def receive(self) -> bytes | None:
        made = await self._begun()
        if made is None:
            return None
        try:
            message = await made.read()
        except grpc.aio.AioRpcError:
            return None
        except asyncio.CancelledError:
            self._raise_if_own()
            return None
        return message if isinstance(message, bytes) else None

    async def initial_metadata(self) -> Pairs:
        made = await self._begun()
        return () if made is None else tuple(await made.initial_metadata())

    async def status(self) -> Status:
        return await asyncio.shield(self._status)

    async def connected(self) -> None:
        made = await self._begun()
        if made is not None:
            await made.wait_for_connection()

    def ended(self) -> Status | None:
        return self._status.result() if self._status.done() else None

    def cancel(self, details: str) -> bool:
        if self._status.done():
            return False
        made = self._made.result() if self._made.done() else None  # before there is a connection nothing is made
        self._settle(Status(grpc.StatusCode.CANCELLED, details))
        if made is not None:
            made.cancel()
        self._task.cancel()
        return True

    def add_done_callback(self, callback: Callable[[], object]) -> None:
        if self._status.done():
            callback()
        else:
            self._callbacks.append(callback)

    async def _begun(self) -> Any:
        """Waits for the grpc.aio call; None when it was never made."""
        return await asyncio.shield(self._made)

    def _raise_if_own(self) -> None:
        # grpc.aio raises CancelledError both when this task and when the call was cancelled.
        if is_cancelled():
            raise asyncio.CancelledError

    async def _follow(self) -> None:
        try:
            connection = await self._transport.connected(self._call)
            if self._status.done():  # cancelled just now: the call is not made
                return
            made = self._make(connection)
            self._made.set_result(made)
            code, details, trailing = await made.code(), await made.details(), await made.trailing_metadata()
            self._settle(Status(code, details or "", tuple(trailing)))
        except CallFailed as error:
            self._settle(Status(error.code(), error.detail, sent=False))
        except Exception as error:  # whoever waits for the stream is not left waiting
            _log.error("a stream failed in its transport", method=self._call.method.full_name, exc_info=error)
            sent = self._made.done()
            code = grpc.StatusCode.UNKNOWN if sent else grpc.StatusCode.UNAVAILABLE
            self._settle(Status(code, "the stream failed in its transport", sent=sent))

    def _make(self, connection: Connected) -> Any:
        path, metadata = self._call.method.full_name, self._call.metadata
        timeout = self._transport.remaining(self._call)
        if self._one_request:
            down: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = connection.channel.unary_stream(path)
            return down(self._call.request, timeout=timeout, metadata=metadata)
        both: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = connection.channel.stream_stream(path)
        return both(timeout=timeout, metadata=metadata)

    def _settle(self, status: Status) -> None:
        if self._status.done():
            return
        if not self._made.done():
            self._made.set_result(None)
        self._status.set_result(status)
        for callback in self._callbacks:
            callback()
