"""Reads messages of HTTP/1.1 from octets (RFC 9112): a state machine without I/O, with limits.

    feed -> ... -> complete -> next -> feed

httptools finds the parts of a message; this module limits what a peer can make it keep before, in and after the
body. Octets after a complete message are not read, because a connection has one request under way at a time.
Here the names of headers are put into lower case, and their values trimmed, once (RFC 9110, 5.1 and 5.5).
"""

from typing import Any

import httptools

from souk.http1.framing import fault
from souk.kernel.whole_numbers import whole_number

HEAD_LIMIT = 65_536
"""The most octets of a message's head, with names and punctuation; also of anything else outside the body."""
_HEADERS = 256
_MOST_OCTETS = 2**64 - 1
"""What the parser can count."""
_SLICE = 16 * 1024
"""The number of octets that are parsed at a time; the limits are checked after each slice."""


class Malformed(Exception):
    """The octets are not HTTP/1.1, or use a part of it that is not supported. `http_status` is for the refusal."""

    def __init__(self, detail: str, http_status: int = 400) -> None:
        super().__init__(detail)
        self.http_status = http_status


class HeadTooLarge(Exception):
    """The head of a message is larger than its limit."""


class BodyTooLarge(Exception):
    """The body of a message is larger than its limit; `octets` is its announced size, or how much of it has come."""

    def __init__(self, octets: int) -> None:
        super().__init__(f"a body of {octets} octets")
        self.octets = octets


class Reader:
    """What requests and answers have in common. A body may have at most `limit` octets, and a head, or anything else
    outside the body, `head_limit`.

    `surplus` is set when octets came after the end of the message.
    """

    def __init__(self, parser: type[Any], limit: int, head_limit: int = HEAD_LIMIT) -> None:
        self._parser, self._limit, self._head_limit = parser(self), limit, head_limit
        self.surplus = False
        self._clear()

    def _clear(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.body: bytes | bytearray = b""
        self.complete = False
        self.keep_alive = False
        self.began = False
        self.in_body = False
        self._kept = self._fields = 0
        self._wrong: Malformed | HeadTooLarge | None = None

    def feed(self, data: bytes) -> bool:
        """Parses more octets; returns whether the message is complete.

        Raises Malformed, HeadTooLarge or BodyTooLarge.
        """
        if len(data) <= min(_SLICE, self._head_limit - self._kept):  # nearly always
            return self._parse(data)
        for start in range(0, len(data), _SLICE):
            self._feed(data[start : start + _SLICE])
        return self.complete

    def _feed(self, data: bytes) -> bool:
        room = self._head_limit - self._kept
        if len(data) > room and not self.complete:
            # What is counted begins anew when a head ends, so the limit is checked where it is reached.
            self._parse(data[:room])
            if self._kept >= self._head_limit and not self.complete:
                raise HeadTooLarge
            data = data[room:]
        return self._parse(data)

    def _parse(self, data: bytes) -> bool:
        self._kept += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._switch(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if not self.complete:
                raise self._wrong or Malformed(str(error)) from None
            self.surplus = True
        if len(self.body) > self._limit:
            raise BodyTooLarge(len(self.body))
        return self.complete

    def _switch(self, rest: bytes) -> None:
        """Takes the octets after a message that asks for another protocol; the parser has skipped its body."""
        if not self.surplus:
            raise Malformed("another protocol is asked for") from None

    def next(self) -> None:
        """Forgets the message, so that the next one can be read."""
        self._clear()

    def header(self, name: bytes) -> bytes | None:
        """Returns the first value of a header; `name` is in lower case. None if there is no such header."""
        return next((value for key, value in self.headers if key == name), None)

    def expected(self) -> None:
        """Raises BodyTooLarge if the message announces a body over the limit."""
        announced = self.header(b"content-length")
        if announced is not None and whole_number(announced, self._limit) is None:
            raise BodyTooLarge(whole_number(announced, _MOST_OCTETS) or _MOST_OCTETS)

    # Called by httptools.

    def on_message_begin(self) -> None:
        if self.complete:
            self.surplus = True
        self.began = True

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += 1
        if self._fields > _HEADERS:
            self._wrong = HeadTooLarge()
            raise self._wrong
        # Headers after the head are trailers of a chunked body, which neither Connect nor the client uses.
        if not (self.in_body or self.surplus):
            self.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.in_body = not self.surplus
        self._kept = 0

    def on_body(self, body: bytes) -> None:
        self._kept = 0
        if self.surplus or len(self.body) > self._limit:
            return
        if not self.body:
            self.body = body
            return
        if isinstance(self.body, bytes):
            self.body = bytearray(self.body)
        self.body += body

    def on_message_complete(self) -> None:
        if not self.surplus:
            self.complete = True
            self.keep_alive = self._parser.should_keep_alive()


class RequestReader(Reader):
    """Reads requests, and refuses heads that `framing.fault` finds wrong."""

    def __init__(self, limit: int) -> None:
        super().__init__(httptools.HttpRequestParser, limit)

    def _clear(self) -> None:
        super()._clear()
        self._target = b""

    @property
    def verb(self) -> bytes:
        """The method, such as POST."""
        verb: bytes = self._parser.get_method()
        return verb

    @property
    def path(self) -> str:
        """The request's target without its query; a path with octets beyond ASCII matches no method."""
        return self._target.partition(b"?")[0].decode("latin-1")

    def on_url(self, part: bytes) -> None:
        if not self.surplus:
            self._target += part

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self.surplus:
            return
        wrong = fault(self._parser.get_http_version(), self.headers)
        if wrong is not None:
            self._wrong = Malformed(wrong[1], wrong[0])
            raise self._wrong


class ResponseReader(Reader):
    """Reads answers; interim answers (1xx) are skipped, but an answer has begun with the first of them."""

    def __init__(self, limit: int) -> None:
        super().__init__(httptools.HttpResponseParser, limit)

    def _clear(self) -> None:
        super()._clear()
        self.status = 0

    @property
    def until_close(self) -> bool:
        """Whether the body lasts until the server closes the connection (RFC 9112, 6.3, item 8)."""
        framed = self.header(b"content-length") is not None or self.header(b"transfer-encoding") is not None
        return self.in_body and not (self.complete or framed)

    def on_headers_complete(self) -> None:
        if not self.surplus:
            self.status = self._parser.get_status_code()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        if 100 <= self.status < 200:
            self._clear()
            self.began = True  # octets of an answer have come
        else:
            super().on_message_complete()
