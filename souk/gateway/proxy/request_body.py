"""The body of a request on its way to an upstream: whole in memory if it is small, else a stream that is sent once."""

from collections.abc import AsyncGenerator

from souk.gateway.http.request import Request
from souk.gateway.proxy.heads import CHUNKED

_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE", "TRACE"})


class OutgoingBody:
    """A body. `octets` holds it if it is whole; `length` is None without a body, and CHUNKED if it is not known."""

    def __init__(self, request: Request, limit: int | None, octets: bytes | None = None) -> None:
        self._request, self._limit = request, limit
        self.octets = octets if octets is not None or request.has_body else b""
        self.length = _announced(request)
        self.begun = False

    @property
    def repeatable(self) -> bool:
        """Whether the body can be sent again."""
        return self.octets is not None or not self.begun

    @property
    def waits(self) -> bool:
        """Whether the client sends the body only once it may (`Expect: 100-continue`)."""
        return self.octets is None and not self.begun and self._request.header(b"expect").lower() == "100-continue"

    async def gather(self, most: int) -> None:
        """Reads a body that is known to be no longer than `most` bytes. Raises Problem 413 and ClientGone."""
        if self.octets is not None or self.length is None or self.length > most or self.waits:
            return
        if self.length != CHUNKED:
            self.octets = await self._request.octets(most if self._limit is None else self._limit)
        elif self._seldom:
            self.octets = await self._request.octets(most if self._limit is None else min(most, self._limit))
            self.length = len(self.octets) or None

    @property
    def _seldom(self) -> bool:
        """Whether the request may have a body but hardly ever has one: in HTTP/2 its head does not say."""
        return self._request.scope.get("http_version") == "2" and self._request.method in _BODILESS

    async def parts(self) -> AsyncGenerator[bytes, None]:
        """Gives the body as it comes, framed as the head in HTTP/1.1 says. Raises Problem 413 and ClientGone."""
        chunked = self.length == CHUNKED
        async for part in self.bare_parts():
            yield b"%x\r\n%b\r\n" % (len(part), part) if chunked else part
        if chunked:
            yield b"0\r\n\r\n"

    async def bare_parts(self) -> AsyncGenerator[bytes, None]:
        """Gives the body as it comes, without a frame. Raises Problem 413 and ClientGone."""
        self.begun = True
        async for part in self._request.stream(self._limit):
            yield part


def _announced(request: Request) -> int | None:
    length = request.header(b"content-length")
    if length.isascii() and length.isdigit():
        return int(length)
    return CHUNKED if request.has_body else None
