"""Messages of HTTP/1.1 out of octets (RFC 9112): a state machine without I/O, and its bounds.

    feed -> ... -> complete -> next -> feed

httptools finds the parts; what a peer may make it keep is bounded here, before, in and after the body. Octets
after a complete message are not read: this side of Connect has one request under way on a connection.
Values of headers are trimmed here, once (RFC 9110, 5.5).
"""

from typing import Any

import httptools

from souk.http1.framing import fault

HEAD_LIMIT = 65_536
"""Octets of a message's head, names and punctuation included; and of whatever else is no body."""
_HEADERS = 256
_SLICE = 16 * 1024
"""Octets that are fed at a time: the limits are looked at between."""


class Malformed(Exception):
    """This is no HTTP/1.1, or none that is understood; `http_status` says so."""

    def __init__(self, detail: str, http_status: int = 400) -> None:
        super().__init__(detail)
        self.http_status = http_status


class HeadTooLarge(Exception):
    """The head of a message is over its limit."""


class BodyTooLarge(Exception):
    """The body of a message is over its limit; `octets` as announced, or as far as they came."""

    def __init__(self, octets: int) -> None:
        super().__init__(f"a body of {octets} octets")
        self.octets = octets


class Reader:
    """What both directions share. A body may have `limit` octets. `surplus`: something came after the message."""

    def __init__(self, parser: type[Any], limit: int) -> None:
        self._parser, self._limit = parser(self), limit
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
        """Reads on; true once a message is complete. Raises Malformed, HeadTooLarge or BodyTooLarge."""
        if len(data) <= _SLICE:
            return self._feed(data)
        for start in range(0, len(data), _SLICE):
            self._feed(data[start : start + _SLICE])
        return self.complete

    def _feed(self, data: bytes) -> bool:
        self._kept += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The parser has passed over the body of what asks for another protocol.
            if not self.surplus:
                raise Malformed("another protocol is asked for") from None
        except httptools.HttpParserError as error:
            if not self.complete:
                raise self._wrong or Malformed(str(error)) from None
            self.surplus = True
        if self._kept > HEAD_LIMIT and not self.complete:
            raise HeadTooLarge
        if len(self.body) > self._limit:
            raise BodyTooLarge(len(self.body))
        return self.complete

    def next(self) -> None:
        """Forgets the message."""
        self._clear()

    def header(self, name: bytes) -> bytes | None:
        """The first value under a name in lower case."""
        return next((value for key, value in self.headers if key.lower() == name), None)

    def expected(self) -> None:
        """Raises BodyTooLarge when the body that is announced is too large."""
        announced = self.header(b"content-length")
        if announced is not None and int(announced) > self._limit:
            raise BodyTooLarge(int(announced))

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
        # After the head they are trailers of a chunked body, which Connect does not use.
        if not (self.in_body or self.surplus):
            self.headers.append((name, value.strip(b" \t")))

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
    """Reads requests."""

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
        """The target without its query; what is no ASCII cannot be a method's path."""
        return self._target.partition(b"?")[0].decode("latin-1")

    def on_url(self, part: bytes) -> None:
        if not self.surplus:
            self._target += part

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self.surplus:
            return
        wrong = fault(self._parser.get_http_version(), [(name.lower(), value) for name, value in self.headers])
        if wrong is not None:
            self._wrong = Malformed(wrong[1], wrong[0])
            raise self._wrong


class ResponseReader(Reader):
    """Reads answers; those that only tell of progress (1xx) are passed over."""

    def __init__(self, limit: int) -> None:
        super().__init__(httptools.HttpResponseParser, limit)

    def _clear(self) -> None:
        super()._clear()
        self.status = 0

    def on_headers_complete(self) -> None:
        if not self.surplus:
            self.status = self._parser.get_status_code()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        if 100 <= self.status < 200:
            self._clear()
        else:
            super().on_message_complete()
