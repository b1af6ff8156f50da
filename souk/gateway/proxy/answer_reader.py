"""Reads answers of an upstream as streams, strictly: what could be read in two ways is refused (RFC 9112, 6.3)."""

import httptools

from souk.http1.reader import Malformed, Reader

_UNLIMITED = 2**63
_FIRST, _SWITCHING, _LAST = 100, 101, 599
_MOST_INTERIM = 64
_BODILESS = frozenset({204, 304})


class AnswerReader(Reader):
    """Reads one answer after the other. `parts` are those of the body that were not taken yet. A head has at most
    `max_head` bytes.

    `status` is 0 until the head of the final answer is read; `continued` is set once a `100 Continue` has come.
    """

    def __init__(self, max_head: int) -> None:
        super().__init__(httptools.HttpResponseParser, _UNLIMITED, max_head)
        self.bodiless = self.may_switch = False

    def _clear(self) -> None:
        super()._clear()
        self.status = 0
        self.continued = self.switched = self.until_close = False
        self._interim = 0
        self.parts: list[bytes] = []
        self.after_switch = b""

    def expect(self, *, head: bool, may_switch: bool) -> None:
        """Makes ready for the answer to the next request; `head` means that the request's method is HEAD, `may_switch`
        that it has asked for another protocol."""
        self._clear()
        if self.bodiless:  # the parser still waits for the body that the last answer did not have
            self._parser = httptools.HttpResponseParser(self)
        self.bodiless, self.may_switch = head, may_switch

    def _parse(self, data: bytes) -> bool:
        if self.switched:
            self.after_switch += data
            return True
        return super()._parse(data)

    def _switch(self, rest: bytes) -> None:
        if not self.switched:
            super()._switch(rest)
        self.after_switch = rest

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self.surplus:
            return
        status = self._parser.get_status_code()
        if not _FIRST <= status <= _LAST:
            self._refuse("the status is of no class")
        if status < 200 and status != _SWITCHING:
            if self._interim >= _MOST_INTERIM:
                self._refuse("interim answers without end")
            return
        if status == _SWITCHING and not self.may_switch:
            self._refuse("another protocol that nobody has asked for")
        self._check_framing(status)
        self.status = status
        if self.bodiless:
            self.complete = True
            self.keep_alive = self._parser.should_keep_alive()

    def _check_framing(self, status: int) -> None:
        lengths, codings = [], []
        for name, value in self.headers:
            if name == b"content-length":
                lengths.append(value)
            elif name == b"transfer-encoding":
                codings.append(value)
        if len(lengths) > 1 or (lengths and codings):
            self._refuse("the length of the body is given twice")
        if lengths and not (lengths[0].isascii() and lengths[0].isdigit()):
            self._refuse("the length of the body is no number")
        if codings and (len(codings) > 1 or codings[0].lower() != b"chunked"):
            self._refuse("the transfer coding is not chunked alone")
        if codings and self._parser.get_http_version() != "1.1":
            self._refuse("HTTP/1.0 has no transfer codings")
        self.until_close = not (lengths or codings or self.bodiless or status in _BODILESS)

    def _refuse(self, why: str) -> None:
        self._wrong = Malformed(why)
        raise self._wrong

    def on_body(self, body: bytes) -> None:
        self._kept = 0
        if self.complete:  # a body after the answer to HEAD
            self.surplus = True
        elif not self.surplus:
            self.parts.append(body)

    def on_message_complete(self) -> None:
        if self.surplus or self.complete:
            return
        status = self._parser.get_status_code()
        if status == _SWITCHING:
            self.switched = self.complete = True
        elif 100 <= status < 200:
            continued, interim = self.continued or status == 100, self._interim + 1
            self._clear()
            self.began, self.continued, self._interim = True, continued, interim
        else:
            super().on_message_complete()
