"""The Connect protocol at the gateway: unary calls by POST and GET, and streams (connectrpc.com/docs/protocol).

Over HTTP/1.1 a client sends all its messages before it reads the first answer.
"""

from base64 import urlsafe_b64decode
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any
from urllib.parse import parse_qs

import grpc
import orjson
from google.protobuf.message import Message

from souk.descriptors.contract import Method
from souk.gateway.http.answers import Answer, Headers, HttpAnswer, StreamedAnswer
from souk.gateway.http.problem import invalid
from souk.gateway.http.request import Request
from souk.gateway.rpc.codecs import CODECS, Codec
from souk.gateway.rpc.envelopes import END, enveloped, messages_in, unpacked
from souk.gateway.rpc.metadata import header_fields
from souk.gateway.rpc.public_calls import Began
from souk.gateway.rpc.wire import Parts, body_of, is_gzip, text_of
from souk.kernel.errors import Violation
from souk.rpc.call import Pairs, Status
from souk.rpc.connect.errors import HTTP_STATUS, encode

_LONGEST_TIMEOUT = 10
"""Digits of a time-out, at most."""
_TRAILER = b"trailer-"
_JSON = (b"content-type", b"application/json")
_ENCODINGS = b"gzip, identity"
_LISTS_MOST = 16


class ConnectUnary:
    """A unary call by POST."""

    def __init__(self, request: Request, headers: Mapping[bytes, bytes], codec: Codec) -> None:
        self._request, self._headers, self._codec = request, headers, codec

    def timeout(self) -> float | None:
        return timeout_of(self._headers)

    async def messages(self, method: Method, limit: int) -> AsyncIterator[Message]:
        gzip = is_gzip(self._headers, b"content-encoding")
        body = await body_of(self._request, limit)
        yield self._codec.read(method.input, unpacked(body, limit) if gzip else body)

    async def answer(self, parts: Parts) -> Answer:
        initial: Pairs = ()
        written = b""
        async with aclosing(parts):
            async for part in parts:
                if isinstance(part, Began):
                    initial = part.initial
                elif isinstance(part, Message):
                    written = self._codec.write(part)
                else:
                    return self._whole(part, initial, written)
        raise AssertionError("a call ends with its status")

    def refusal(self, status: Status) -> Answer:
        return _refused(status, ())

    def _whole(self, status: Status, initial: Pairs, written: bytes) -> HttpAnswer:
        if status.code is not grpc.StatusCode.OK:
            return _refused(status, initial)
        kind = (b"content-type", b"application/" + self._codec.name.encode())
        return HttpAnswer(200, [kind, *header_fields(initial), *header_fields(status.trailing, _TRAILER)], written)


class ConnectGet(ConnectUnary):
    """A unary call by GET, for a method without side effects: the message is in the query."""

    def __init__(self, request: Request, headers: Mapping[bytes, bytes]) -> None:
        self._query = _single(parse_qs(request.query.decode("latin-1"), max_num_fields=_LISTS_MOST))
        super().__init__(request, headers, CODECS.get(self._query.get("encoding", ""), CODECS["json"]))

    async def messages(self, method: Method, limit: int) -> AsyncIterator[Message]:
        query = self._query
        if query.get("encoding") not in CODECS or "message" not in query or query.get("connect", "v1") != "v1":
            raise invalid([Violation("query", "needs message, encoding (json or proto), and connect=v1")])
        gzip = is_gzip({b"compression": query.get("compression", "").encode()}, b"compression")
        octets = _octets(query["message"]) if query.get("base64") == "1" else query["message"].encode("latin-1")
        yield self._codec.read(method.input, unpacked(octets, limit) if gzip else octets)


class ConnectStream:
    """A call with a stream in it: enveloped messages both ways; the last one of the answer holds the status."""

    def __init__(self, request: Request, headers: Mapping[bytes, bytes], codec: Codec) -> None:
        self._request, self._headers, self._codec = request, headers, codec

    def timeout(self) -> float | None:
        return timeout_of(self._headers)

    async def messages(self, method: Method, limit: int) -> AsyncIterator[Message]:
        gzip = is_gzip(self._headers, b"connect-content-encoding")
        async for octets in messages_in(self._request.stream(), limit, gzip=gzip):
            yield self._codec.read(method.input, octets)

    async def answer(self, parts: Parts) -> Answer:
        first = await anext(parts)
        initial = first.initial if isinstance(first, Began) else ()
        return StreamedAnswer(200, [*self._head(), *header_fields(initial)], self._written(first, parts))

    def refusal(self, status: Status) -> Answer:
        return HttpAnswer(200, self._head(), enveloped(_end(status), END))

    def _head(self) -> Headers:
        kind = b"application/connect+" + self._codec.name.encode()
        return [(b"content-type", kind), (b"connect-accept-encoding", _ENCODINGS), (b"cache-control", b"no-store")]

    async def _written(self, first: Any, parts: Parts) -> AsyncGenerator[bytes, None]:
        try:
            if isinstance(first, Status):
                yield enveloped(_end(first), END)
            async for part in parts:
                if isinstance(part, Message):
                    yield enveloped(self._codec.write(part))
                elif isinstance(part, Status):
                    yield enveloped(_end(part), END)
        finally:
            await parts.aclose()


def timeout_of(headers: Mapping[bytes, bytes]) -> float | None:
    """Reads Connect-Timeout-Ms, in seconds; None without one. Raises Problem 400."""
    text = text_of(headers, b"connect-timeout-ms")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > _LONGEST_TIMEOUT:
        raise invalid([Violation("Connect-Timeout-Ms", f"must be milliseconds, at most {_LONGEST_TIMEOUT} digits")])
    return int(text) / 1_000


def _refused(status: Status, initial: Pairs) -> HttpAnswer:
    body, trailing = encode(status)
    http_status = HTTP_STATUS[status.code]
    headers = [_JSON, (b"cache-control", b"no-store"), *header_fields(initial), *header_fields(trailing, _TRAILER)]
    if status.code is grpc.StatusCode.UNAUTHENTICATED:
        headers.append((b"www-authenticate", b"Bearer"))
    if status.code is grpc.StatusCode.UNIMPLEMENTED:
        headers.append((b"accept-encoding", _ENCODINGS))
    return HttpAnswer(http_status, headers, body)


def _end(status: Status) -> bytes:
    end: dict[str, Any] = {}
    trailing = status.trailing
    if status.code is not grpc.StatusCode.OK:
        body, trailing = encode(status)
        end["error"] = orjson.loads(body)
    if trailing:
        metadata: dict[str, list[str]] = {}
        for name, value in header_fields(trailing):
            metadata.setdefault(name.decode(), []).append(value.decode("latin-1"))
        end["metadata"] = metadata
    return orjson.dumps(end)


def _single(query: Mapping[str, list[str]]) -> dict[str, str]:
    return {name: values[-1] for name, values in query.items()}


def _octets(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))
    except ValueError:
        raise invalid([Violation("message", "is not base64")]) from None
