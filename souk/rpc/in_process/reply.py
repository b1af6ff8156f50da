"""The caller's end of a call inside the process: a future reply, or a stream."""

import asyncio
from collections.abc import Callable

import grpc

from souk.rpc.call import Call, Pairs, Reply, Status, failed
from souk.rpc.message_pipe import Pipe
from souk.rpc.server.handler_context import HandlerContext, too_large
from souk.rpc.transport import EXPIRED, MESSAGE_LIMIT


class RunningHandler:
    """A running handler, which its caller stops by cancelling or by the deadline."""

    __slots__ = ("_context", "_task", "_timer")

    def __init__(
        self, context: HandlerContext, task: asyncio.Task[None], remaining: float, expired: Callable[[], object]
    ) -> None:
        self._context = context
        self._task = task
        self._timer = task.get_loop().call_later(remaining, expired)

    def ended(self) -> None:
        """Stops the timer of the deadline, as the call is over."""
        self._timer.cancel()

    def stop(self) -> None:
        """Cancels the handler, as the caller no longer waits."""
        self._timer.cancel()
        self._context.abandon()
        self._task.cancel()


class LocalReply(asyncio.Future[Reply]):
    """The future answer to a unary call. Cancelling it cancels the handler."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self._method = call.method
        self._initial: Pairs = ()
        self._running: RunningHandler | None = None

    def start(self, context: HandlerContext, task: asyncio.Task[None], remaining: float) -> None:
        """The handler is on its way."""
        self._running = RunningHandler(context, task, remaining, self._expire)

    def began(self, initial: Pairs) -> None:
        self._initial = initial

    def finished(self, status: Status, message: bytes | None) -> None:
        if self.done():
            return
        if self._running is not None:
            self._running.ended()
            self._running = None
        if status.code is grpc.StatusCode.OK:
            self.set_result(Reply(message or b"", self._initial, status.trailing))
        else:
            self.set_exception(failed(self._method, status, self._initial))
            self.exception()  # otherwise asyncio complains about a call that nobody awaits

    def cancel(self, msg: object = None) -> bool:
        if not super().cancel(msg):
            return False
        if self._running is not None:
            self._running.stop()
            self._running = None
        return True

    def _expire(self) -> None:
        running = self._running
        self.finished(EXPIRED, None)
        if running is not None:
            running.stop()


class InProcessStream:
    """A stream inside the process. As in grpc.aio, its status is there once all messages before it were received."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.requests = Pipe()
        self.responses = Pipe()
        self._initial: asyncio.Future[Pairs] = loop.create_future()
        self._status: asyncio.Future[Status] = loop.create_future()
        self._coming: Status | None = None
        self._running: RunningHandler | None = None
        self._callbacks: list[Callable[[], object]] = []

    def start(self, context: HandlerContext, task: asyncio.Task[None], remaining: float) -> None:
        """The handler is on its way."""
        self._running = RunningHandler(context, task, remaining, self._expire)

    # Called by the handler's context: the methods of CallerEnd.

    def began(self, initial: Pairs) -> None:
        if not self._initial.done():
            self._initial.set_result(initial)

    def finished(self, status: Status, message: bytes | None) -> None:
        if self._status.done():
            return
        if message is not None and status.code is grpc.StatusCode.OK:
            self.responses.put_last(message)
        self.responses.close()
        self._coming = status
        self._settle()

    # Called by the caller: the methods of Stream.

    async def send(self, message: bytes) -> bool:
        if len(message) > MESSAGE_LIMIT:
            self._stop(too_large("SERVER", message))
        return await self.requests.put(message)

    async def close_sending(self) -> None:
        self.requests.close()

    async def receive(self) -> bytes | None:
        message = await self.responses.get()
        self._settle()
        return message

    async def initial_metadata(self) -> Pairs:
        return await asyncio.shield(self._initial)

    async def status(self) -> Status:
        return await asyncio.shield(self._status)

    async def connected(self) -> None:
        """Returns at once: a process is always connected to itself."""

    def ended(self) -> Status | None:
        return self._status.result() if self._status.done() else None

    def cancel(self, details: str) -> bool:
        return self._stop(Status(grpc.StatusCode.CANCELLED, details))

    def add_done_callback(self, callback: Callable[[], object]) -> None:
        if self._status.done():
            callback()
        else:
            self._callbacks.append(callback)

    def _expire(self) -> None:
        self._stop(EXPIRED)

    def _stop(self, status: Status) -> bool:
        """Ends the call from the caller's side, and cancels the handler."""
        if self._status.done():
            return False
        running = self._running
        self.requests.discard()
        self.responses.discard()
        self._coming = status
        self._settle()
        if running is not None:
            running.stop()
        return True

    def _settle(self) -> None:
        if self._coming is None or self._status.done() or not self.responses.drained:
            return
        if self._running is not None:
            self._running.ended()
            self._running = None
        self.began(())
        self._status.set_result(self._coming)
        for callback in self._callbacks:
            callback()
