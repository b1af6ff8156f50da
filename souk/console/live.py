"""Tells pages that are looked at when what they show has changed: server-sent events (HTML Standard, section 9.2).

A stream says only that there is something new. The page is then fetched as it always is, so that there is one way to
make it and one to say who may see it (docs/decisions/0123-a-stream-says-that-a-page-has-changed.md).

    event: changed      the data of the page are others than before
    event: beat         nothing has changed for a while; times that are shown are older now
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b

from souk.console.operators import Operators
from souk.gateway.http.answers import Headers, StreamedAnswer
from souk.gateway.http.problem import Problem
from souk.gateway.http.request import Request
from souk.kernel.clock import Clock

MOST, MOST_EACH = 64, 8
"""Streams of a gateway at once, and those of one operator; one more is refused, and that page asks now and then."""
EVERY = 1.0
"""Seconds between two looks at a page; all streams of the page share them."""
APART = 2.0
"""Seconds between two changes that a stream tells: some pages change with every look."""
BEAT = 10.0
"""Seconds after which a stream says something, so that nobody between takes it for dead."""
CHECKED_EVERY = 5.0
"""Seconds between two questions whether the operator still is one."""
LONGEST = 600.0
"""Seconds after which a stream ends, and its browser begins another one: perhaps at another gateway."""
_OPENED, _CHANGED, _BEAT = b"retry: 2000\n\n", b"event: changed\ndata: \n\n", b"event: beat\ndata: \n\n"
_HEADERS: Headers = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),  # nginx would keep it until it is over
]

Show = Callable[[], Awaitable[bytes]]
"""Gives what a page shows now, as one document; a failure is a document, too."""


@dataclass(slots=True)
class LiveOperator:
    """Who looks at a page by a stream; `ended` is set when the login ends."""

    subject: str
    login: str
    ended: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class _WatchedPage:
    """A page that streams look at: it is read once for all of them."""

    show: Show
    readers: int = 0
    digest: bytes = b""
    read_at: float = float("-inf")
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


class LivePages:
    """The streams of one gateway. `serves` tells whether it still takes requests: when it ends, so do they."""

    def __init__(
        self, operators: Operators, clock: Clock, serves: Callable[[], bool] = lambda: True, every: float = EVERY
    ) -> None:
        self._operators, self._clock, self._serves, self._every = operators, clock, serves, every
        self._pages: dict[str, _WatchedPage] = {}
        self._streams: list[LiveOperator] = []

    @property
    def open(self) -> int:
        """How many streams there are."""
        return len(self._streams)

    def stream(
        self, request: Request, page: str, show: Show, operator: LiveOperator, cookies: Headers
    ) -> StreamedAnswer:
        """Answers with the stream of a page, which `page` names with its query. Raises Problem 503 for one too many.

        With `cookies` of a renewed login it ends at once: the browser's next request is the first to have them.
        """
        if not self._has_room(operator):
            raise Problem(503, "TOO_MANY_STREAMS", "too many pages are followed at once: this one asks now and then")
        request.route = f"{request.route} stream"  # its length says nothing of how long requests take
        if request.span is not None:
            request.span.streaming = True
        body = _at_once() if cookies else self._events(request, page, show, operator)
        return StreamedAnswer(200, [*_HEADERS, *cookies], body)

    def _has_room(self, operator: LiveOperator) -> bool:
        own = sum(one.subject == operator.subject for one in self._streams)
        return len(self._streams) < MOST and own < MOST_EACH

    def end(self, login: str) -> None:
        """Ends the streams of a login, which is over."""
        for one in self._streams:
            if one.login == login:
                one.ended.set()

    async def _events(
        self, request: Request, page: str, show: Show, operator: LiveOperator
    ) -> AsyncGenerator[bytes, None]:
        if not self._has_room(operator):  # others have begun since this one was let in
            return
        watched = self._pages.setdefault(page, _WatchedPage(show))
        watched.readers += 1
        self._streams.append(operator)
        try:
            yield _OPENED
            began = spoken = checked = self._clock.monotonic()
            known: bytes | None = None
            while self._serves() and not operator.ended.is_set():
                digest, now = await self._digest(watched), self._clock.monotonic()
                if now - began >= LONGEST:
                    return
                if now - checked >= CHECKED_EVERY * self._every:
                    if not await self._operators.still_there(request):
                        return
                    checked = now
                if now - spoken >= (APART if digest != known else BEAT) * self._every or known is None:
                    yield _CHANGED if digest != known else _BEAT
                    known, spoken = digest, now
                with suppress(TimeoutError):
                    await asyncio.wait_for(operator.ended.wait(), self._every)
        finally:
            self._streams.remove(operator)
            watched.readers -= 1
            if not watched.readers:
                self._pages.pop(page, None)

    async def _digest(self, page: _WatchedPage) -> bytes:
        """Gives what tells the page's data from others; read anew at most once in `every` seconds."""
        async with page.reading:
            if self._clock.monotonic() - page.read_at >= 0.9 * self._every:
                page.digest = blake2b(await page.show(), digest_size=16).digest()
                page.read_at = self._clock.monotonic()
            return page.digest


async def _at_once() -> AsyncGenerator[bytes, None]:
    yield b"retry: 100\n\n"
