"""One HTTP request: the few headers that the gateway reads, and the body on demand."""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping, Sequence
from typing import Any, TypeAlias

from souk.gateway.http.client_address import client_address, client_scheme, from_trusted_proxy
from souk.gateway.http.problem import Problem, invalid
from souk.gateway.settings import GatewaySettings
from souk.kernel.errors import SoukError, Violation
from souk.kernel.whole_numbers import whole_number
from souk.rpc.metadata import tester_releases
from souk.telemetry.traces import carried_state, child_of, parse
from souk.telemetry.tracing.span import Span

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

WHOLE_BODY = "souk.whole_body"
"""The extension of the scope that gives a request's body, in place of messages of ASGI: a function that returns it if
all of it has come and nothing of it was received, else None; then the messages are to be received."""

_IN_UTF8 = ("", "charset=utf-8", 'charset="utf-8"')
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_READ = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"authorization",
        b"cache-control",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"cookie",
        b"expect",
        b"host",
        b"idempotency-key",
        b"if-none-match",
        b"origin",
        b"sec-fetch-site",
        b"traceparent",
        b"tracestate",
        b"transfer-encoding",
        b"x-api-key",
        b"x-request-id",
        b"x-tester",
    }
)


class Request:
    """One request. Its headers with reserved metadata (`souk-*`) are ignored, so they reach no service.

    The pipeline sets `route` and `subject`, once they are known, for the log. `quotas` is what is left of the rate
    limits that the request was counted against, and `limit` the name of the one that it went beyond.
    `status` is that of its answer, 0 before there is one. `span` records it; None while nothing is traced.
    `refusal` is the problem that it ended with, if it did. `cors` are the headers that a page of another origin needs.
    """

    __slots__ = (
        "_header",
        "_pending",
        "_receive",
        "_settings",
        "_size",
        "cors",
        "limit",
        "method",
        "path",
        "query",
        "quotas",
        "refusal",
        "request_id",
        "route",
        "scope",
        "span",
        "status",
        "subject",
        "trace",
        "traceparent",
    )

    def __init__(self, scope: Scope, receive: Receive, settings: GatewaySettings) -> None:
        self.scope, self._receive, self._settings = scope, receive, settings
        self.method: str = scope["method"]
        raw = scope.get("raw_path")
        self.path: str = scope["path"] if raw is None else raw.decode("latin-1")
        self.query: bytes = scope["query_string"]
        self.route = self.subject = self.limit = ""
        self.status = 0
        self.span: Span | None = None
        self.quotas: Sequence[Any] = ()
        self.cors: Sequence[tuple[bytes, bytes]] = ()
        self.refusal: Problem | None = None
        self._header: dict[bytes, bytes] = {}
        size, read = 0, self._header
        for name, value in scope["headers"]:
            size += len(name) + len(value)
            if name in _READ:
                # A repeated header becomes a value that no check accepts.
                read[name] = value if name not in read else read[name] + b"\0" + value
        self._size = size
        length = read.get(b"content-length")
        # A body of HTTP/2 needs neither header.
        framed = b"transfer-encoding" in self._header or (length is None and scope.get("http_version") == "2")
        self._pending = framed or (length is not None and length != b"0")
        self.trace = child_of(self.header(b"traceparent"))
        self.traceparent = self.trace.traceparent
        given = self._header.get(b"x-request-id")
        self.request_id = given.decode() if given and _REQUEST_ID.fullmatch(given) else self.trace.trace_id

    @property
    def tracestate(self) -> str:
        """What other systems have said of the trace, as it goes on; empty if nothing, or if it is not valid."""
        given = self._header.get(b"tracestate")
        if given is None or parse(self.header(b"traceparent")) is None:
            return ""
        return carried_state(given.decode("latin-1").replace("\0", ","))

    @property
    def releases(self) -> dict[str, str]:
        """What leads a tester's request to the version of a canary, as its call context has it; empty without."""
        return tester_releases(self.header(b"x-tester"))

    def header(self, name: bytes) -> str:
        """Returns a header that the gateway reads; empty when it was not sent."""
        value = self._header.get(name)
        return "" if value is None else value.decode("latin-1")

    @property
    def client(self) -> str:
        """The client's address, as far as it can be trusted."""
        return client_address(self.scope, self._settings.trusted_proxies)

    @property
    def scheme(self) -> str:
        """The scheme that the client used, as far as it can be trusted."""
        return client_scheme(self.scope, self._settings.trusted_proxies)

    @property
    def from_proxy(self) -> bool:
        """Whether a trusted proxy has sent the request."""
        return from_trusted_proxy(self.scope, self._settings.trusted_proxies)

    @property
    def certificate(self) -> tuple[str, str]:
        """The subject of the client's verified certificate (RFC 4514), and the certificate as PEM; empty without."""
        tls = (self.scope.get("extensions") or {}).get("tls")
        return (tls["client_cert_name"], tls["client_cert_chain"][0]) if tls else ("", "")

    @property
    def takes_trailers(self) -> bool:
        """Whether an answer may have trailers: in HTTP/2."""
        return "http.response.trailers" in (self.scope.get("extensions") or ())

    @property
    def has_body(self) -> bool:
        """Whether a part of the body, or all of it, is still to be read."""
        return self._pending

    def check_size(self) -> None:
        """Raises Problem 414 or 431 when the target or the headers are too large."""
        if len(self.path) + len(self.query) > self._settings.max_target:
            raise Problem(414, "URI_TOO_LONG", "the path and query are too long")
        if len(self.scope["headers"]) > self._settings.max_headers or self._size > self._settings.max_header_bytes:
            raise Problem(431, "HEADERS_TOO_LARGE", "the headers are too large")

    async def json_body(self) -> bytes:
        """Reads the body, at most `max_body` bytes of JSON. Raises Problem 400, 413 or 415.

        It sets no time limit: the HTTP server deals with a client that sends too slowly.
        """
        if not self._pending:
            return b""
        self._check_type()
        here = self._at_once(self._settings.max_body)
        return await self.octets(self._settings.max_body) if here is None else here

    async def raw_body(self) -> bytes:
        """Reads the body, at most `max_body` bytes of any content type. Raises Problem 400, 413 or 415."""
        if not self._pending:
            return b""
        self.check_encoding()
        return await self.octets(self._settings.max_body)

    async def octets(self, limit: int) -> bytes:
        """Reads the whole body, at most `limit` bytes of anything. Raises Problem 413, and ClientGone."""
        if not self._pending:
            return b""
        self._check_length(limit)
        return await self._read(limit)

    async def stream(self, limit: int | None = None) -> AsyncGenerator[bytes, None]:
        """Gives the body in parts, as they come; the client is not read from further than the server's buffer.

        A client that waits for `100 Continue` gets it when the first part is asked for. Raises Problem 413 for a body
        of more than `limit` bytes, at once if the request says so, and ClientGone when the client leaves meanwhile.
        """
        if limit is not None and self._pending:
            self._check_length(limit)
        size = 0
        while self._pending:
            part = await self._next()
            size += len(part)
            if limit is not None and size > limit:
                raise _too_large(limit)
            if part:
                yield part

    async def disconnected(self) -> None:
        """Waits until the client leaves; only for a request whose body is read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _check_length(self, limit: int) -> None:
        length = self.header(b"content-length")
        if length and not (length.isascii() and length.isdigit()):
            raise invalid([Violation("Content-Length", "must be one number")])
        if length and whole_number(length, limit) is None:
            raise _too_large(limit)

    def _check_type(self) -> None:
        if self._header.get(b"content-type") != b"application/json":  # nearly always it is that
            kind, _, parameters = self.header(b"content-type").lower().partition(";")
            if kind.strip() != "application/json" or parameters.strip() not in _IN_UTF8:
                raise Problem(415, "UNSUPPORTED_MEDIA_TYPE", "the body must be application/json in UTF-8")
        self.check_encoding()

    def check_encoding(self) -> None:
        """Raises Problem 415 when the body is compressed."""
        if b"content-encoding" in self._header and self.header(b"content-encoding").lower() not in ("", "identity"):
            raise Problem(415, "UNSUPPORTED_MEDIA_TYPE", "the body must not be compressed")

    async def _read(self, limit: int) -> bytes:
        whole = self._at_once(limit)
        if whole is not None:
            return whole
        first = await self._next()
        if not self._pending:
            if len(first) > limit:
                raise _too_large(limit)
            return first
        body = bytearray(first)
        while self.has_body and len(body) <= limit:
            body += await self._next()
        if len(body) > limit:
            raise _too_large(limit)
        return bytes(body)

    def _at_once(self, limit: int) -> bytes | None:
        """Returns the body if all of it is here and nothing of it was read; None if it must be waited for.

        Raises Problem 413 for more than `limit` bytes.
        """
        whole = (self.scope.get("extensions") or {}).get(WHOLE_BODY)
        body: bytes | None = None if whole is None else whole()
        if body is not None:
            self._pending = False
            if len(body) > limit:
                raise _too_large(limit)
        return body

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._pending = False
            raise ClientGone
        self._pending = message.get("more_body", False)
        body: bytes = message.get("body", b"")
        return body

    async def drain(self) -> bool:
        """Reads the rest of the body, up to a limit. Returns False when there is still more.

        A client that is still sending when the answer comes would see a broken connection instead of the answer. One
        that sends nothing for `drain_pause` may itself wait for the answer.
        """
        if not self._pending or self.header(b"expect"):
            return not self._pending
        try:
            async with asyncio.timeout(self._settings.drain_timeout):
                drained = 0
                while self._pending and drained <= self._settings.max_drain:
                    async with asyncio.timeout(self._settings.drain_pause):
                        drained += len(await self._next())
        except (TimeoutError, ClientGone):
            return False
        return not self._pending


def _too_large(limit: int) -> Problem:
    return Problem(413, "BODY_TOO_LARGE", f"the body is larger than {limit} bytes")


class ClientGone(SoukError):
    """The client closed the connection before it was answered in full, so there is no one to answer."""
