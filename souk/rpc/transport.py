"""The port between a channel and the transport that carries its calls.

Guarantees, the same for every adapter and proved by `souk.testing.rpc.suite`: messages arrive as they were when
they were sent; the deadline ends the call at the caller and cancels the handler, and so does cancelling the
call; a handler runs in a task and a context of its own; a message of more than 4 MiB, and metadata of more than
8 KiB, ends the call with RESOURCE_EXHAUSTED; a writer waits for a slow reader; a failure says whether the call
was sent at all.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

import grpc

from souk.rpc.call import Call, Pairs, Reply, Status

MESSAGE_LIMIT = 4 * 1024 * 1024


EXPIRED = Status(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")


class Stream(Protocol):
    """The caller's end of one stream. One task may send while another receives."""

    async def send(self, message: bytes) -> bool:
        """Sends a message, once there is room. Returns false when the call is over."""
        ...

    async def close_sending(self) -> None:
        """Tells the callee that no more messages will be sent."""
        ...

    async def receive(self) -> bytes | None:
        """Waits for the next message; None when the call is over."""
        ...

    async def initial_metadata(self) -> Pairs:
        """Waits for the callee's initial metadata; empty if the call ended without."""
        ...

    async def status(self) -> Status:
        """Waits for the end of the call, which comes after its last message was received."""
        ...

    async def connected(self) -> None:
        """Waits until the call was sent, or is over."""
        ...

    def ended(self) -> Status | None:
        """Returns the status if the call is over, else None."""
        ...

    def cancel(self, details: str) -> bool:
        """Cancels the call. Returns false when it was over already."""
        ...

    def add_done_callback(self, callback: Callable[[], object]) -> None:
        """Calls back when the call is over."""
        ...


class Transport(Protocol):
    """Carries calls to one service, or to one process."""

    def unary(self, call: Call) -> Awaitable[Reply]:
        """Makes a unary call; an `Invoke`. Cancelling what it returns cancels the call."""
        ...

    def stream(self, call: Call, *, one_request: bool) -> Stream:
        """Begins a call with a stream in it. With `one_request` it sends `call.request`, and nothing after it."""
        ...

    async def ready(self) -> None:
        """Waits until a call could be sent."""
        ...

    async def close(self, grace: float | None = None) -> None:
        """Sends no further calls; running ones may end within `grace` seconds, and are then cancelled."""
        ...
