"""The body of an answer on its way from an upstream to the client."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, Protocol

from souk.gateway.http.answers import BodyLost, Headers
from souk.gateway.proxy.faults import FaultKind, UpstreamFault
from souk.gateway.proxy.settings import UpstreamSettings
from souk.kernel.whole_numbers import whole_number

_NO_BODY = 304
"""Its length is that of an answer which is not sent (RFC 9110, 8.6)."""


def check_size(octets: int, most: int | None) -> None:
    """Raises UpstreamFault TOO_LARGE if a body with so many octets is larger than it may be."""
    if most is not None and octets > most:
        raise UpstreamFault(FaultKind.TOO_LARGE, f"the body of the answer has more than {most:,} bytes")


def check_announced(status: int, headers: Headers, most: int | None) -> None:
    """Raises UpstreamFault TOO_LARGE if the head of an answer announces a body that is larger than it may be."""
    if most is None or status == _NO_BODY:
        return
    for name, value in headers:
        if name == b"content-length" and whole_number(value, most) is None:
            check_size(most + 1, most)


class BodySource(Protocol):
    """What an answer's body is read from."""

    @property
    def ready(self) -> bool:
        """Whether a part waits to be taken."""
        ...

    async def part(self) -> bytes:
        """Gives the next part; empty at the end. Raises UpstreamFault if the rest is lost."""
        ...


class AnswerBody(AsyncGenerator[bytes, None]):
    """The rest of an answer's body, which ends its exchange when it is closed, also if nothing was read of it.

    `close` is called with whether the instance failed; None if the end says nothing about it. A body that is not
    complete at `late_at`, by the event loop's time, is lost, and so is what is larger than the settings allow.
    """

    def __init__(
        self,
        source: BodySource,
        close: Callable[[bool | None], None],
        settings: UpstreamSettings,
        late_at: float | None,
    ) -> None:
        self._source, self._close, self._late_at = source, close, late_at
        self._idle, self._most, self._octets = settings.idle, settings.max_answer, 0

    async def asend(self, value: None) -> bytes:
        """Gives the next part. Raises BodyLost when the rest cannot come."""
        try:
            part = await self._part()
            self._octets += len(part)
            check_size(self._octets, self._most)
        except UpstreamFault as fault:
            self._close(None if fault.kind is FaultKind.TOO_LARGE else True)
            raise BodyLost(str(fault)) from fault
        if not part:
            self._close(False)
            raise StopAsyncIteration
        return part

    async def _part(self) -> bytes:
        if self._source.ready:
            return await self._source.part()
        end = asyncio.get_running_loop().time() + self._idle
        try:
            async with asyncio.timeout_at(end if self._late_at is None else min(end, self._late_at)):
                return await self._source.part()
        except TimeoutError:
            raise UpstreamFault(FaultKind.LATE, "the rest of the answer does not come") from None

    async def athrow(self, typ: Any, val: Any = None, tb: Any = None) -> bytes:
        """Ends the exchange with an error of the reader."""
        await self.aclose()
        raise typ if val is None else val

    async def aclose(self) -> None:
        """Ends the exchange."""
        self._close(None)
