"""One request to an upstream in HTTP/2 and its answer, as the connection reads and writes them."""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Protocol

from souk.gateway.http.answers import Headers
from souk.gateway.proxy.faults import FaultKind, UpstreamFault

_MOST_INTERIM = 64
_BODILESS = (204, 304)
_SMALL, _JOINED = 512, 16 * 1024
"""Octets of a part that is joined to the one before it, and of that one at most."""


class FrameWriter(Protocol):
    """The connection, as its streams need it."""

    def acknowledge(self, stream: int, octets: int) -> None:
        """Gives the upstream room for so many octets more."""
        ...

    def send_part(self, stream: int, octets: bytes, *, last: bool) -> None:
        """Sends a part of a body, which must fit into `room`."""
        ...

    def room(self, stream: int) -> int:
        """Returns how many octets of a body may be sent now."""
        ...

    async def flushed(self) -> None:
        """Waits until the socket takes more."""
        ...

    def leave(self, stream: int) -> None:
        """Ends a stream; the upstream is told if it is not over."""
        ...


class UpstreamStream:
    """A stream. `status` is 0 until the head of the final answer has come; `trailers` are complete at its end.

    `began` says whether anything of an answer has come, and `sent` whether the request is sent in full. To a
    `bodiless` request the answer has the length of a body, and no body.
    """

    def __init__(self, number: int, writer: FrameWriter) -> None:
        self.number, self._writer = number, writer
        self.status = 0
        self.headers: Headers = []
        self.trailers: Headers = []
        self.began = self.complete = self.sent = self.continued = self.bodiless = False
        self._interim = self._octets = 0
        self._length: int | None = None
        self._parts: deque[tuple[bytes | bytearray, int]] = deque()
        self._fault: UpstreamFault | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._widened = asyncio.Event()

    # Called by the connection.

    def interim(self, status: int) -> None:
        """Takes a 1xx. Raises UpstreamFault when they do not end."""
        self.began, self._interim = True, self._interim + 1
        if self._interim > _MOST_INTERIM:
            raise UpstreamFault(FaultKind.BROKEN, "interim answers without end")
        self.continued = self.continued or status == 100
        self._wake()

    def answered(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Takes the head of the final answer, unless what came before it was not sound."""
        self.began = True
        if self._fault is None:
            self.status, self.headers = status, list(headers)
            if not (self.bodiless or status in _BODILESS):
                self._length = next((int(value) for name, value in self.headers if name == b"content-length"), None)
        self._wake()

    def feed(self, octets: bytes, size: int) -> None:
        """Takes a part of the body; `size` is what it took of the window."""
        if not size:
            return
        self._octets += len(octets)
        if self._parts and len(octets) < _SMALL and len(self._parts[-1][0]) < _JOINED:
            # Each part that waits costs more than a few octets do: a window full of single ones would fill the memory.
            before, taken = self._parts.pop()
            joined = before if isinstance(before, bytearray) else bytearray(before)
            joined += octets
            self._parts.append((joined, taken + size))
        else:
            self._parts.append((octets, size))
        self._wake()

    def end(self) -> None:
        """Notes that the answer is whole, unless it was not sound."""
        if self._length is not None and self._length != self._octets:
            self.fail(UpstreamFault(FaultKind.BROKEN, "the body has not the length that its head says"))
        self.complete = self._fault is None
        self._wake()
        self._widened.set()

    def fail(self, fault: UpstreamFault) -> None:
        """Ends the exchange with a fault; the first one counts."""
        if self._fault is None and not self.complete:
            self._fault = fault
        self._wake()
        self._widened.set()

    def widen(self) -> None:
        """Notes that the upstream has made room."""
        self._widened.set()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    # Called by the exchange.

    async def changed(self) -> None:
        """Waits until something has come. Raises UpstreamFault if nothing more can come."""
        if self._fault is not None:
            raise self._fault
        self._waiting = asyncio.get_running_loop().create_future()
        await self._waiting

    async def head(self) -> None:
        """Waits for the head of the final answer. Raises UpstreamFault."""
        while not self.status:
            await self.changed()
        if self._fault is not None and not self._parts:
            raise self._fault

    @property
    def ready(self) -> bool:
        """Whether a part of the body waits to be taken."""
        return bool(self._parts)

    async def part(self) -> bytes:
        """Gives the next part of the answer's body; empty at its end. Raises UpstreamFault if the rest is lost."""
        while True:
            while self._parts:
                octets, size = self._parts.popleft()
                self._writer.acknowledge(self.number, size)
                if octets:
                    return bytes(octets)
            if self.complete:
                return b""
            await self.changed()

    def rest(self) -> bytes:
        """Takes all that has come of the body."""
        taken = list(self._parts)
        self._parts.clear()
        self._writer.acknowledge(self.number, sum(size for _, size in taken))
        return b"".join(octets for octets, _ in taken)

    async def send(self, octets: bytes, *, last: bool = False) -> None:
        """Sends a part of the request's body when there is room for it. Raises UpstreamFault.

        What is left when the answer is complete goes nowhere: the upstream does not want it.
        """
        rest = memoryview(octets)
        while rest:
            room = await self._room()
            if not room:
                return
            part, rest = rest[:room], rest[room:]
            self.sent = last and not rest
            self._writer.send_part(self.number, bytes(part), last=self.sent)
            await self._writer.flushed()
        if last and not self.sent and not self.complete:
            if self._fault is not None:
                raise self._fault
            self.sent = True
            self._writer.send_part(self.number, b"", last=True)

    async def _room(self) -> int:
        while True:
            if self._fault is not None:
                raise self._fault
            if self.complete:
                return 0
            if (room := self._writer.room(self.number)) > 0:
                return room
            self._widened.clear()
            await self._widened.wait()

    def close(self) -> None:
        """Drops what was not read, and lets the upstream know if it is not through."""
        self.rest()
        self._writer.leave(self.number)
