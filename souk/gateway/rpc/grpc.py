"""gRPC at the gateway, over HTTP/2, and gRPC-Web, whose trailers are the last message of the body.

Sources: github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md and doc/PROTOCOL-WEB.md.
"""

import re
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from urllib.parse import quote

import grpc
from google.protobuf.message import Message

from souk.descriptors.contract import Method
from souk.gateway.http.answers import Answer, Headers, StreamedAnswer
from souk.gateway.http.problem import invalid
from souk.gateway.http.request import Request
from souk.gateway.rpc.codecs import Codec
from souk.gateway.rpc.envelopes import TRAILERS, enveloped, from_base64, messages_in
from souk.gateway.rpc.metadata import header_fields
from souk.gateway.rpc.public_calls import Began
from souk.gateway.rpc.wire import Parts, is_gzip, text_of
from souk.kernel.errors import Violation
from souk.rpc.call import Status

_TIMEOUT = re.compile(r"([0-9]{1,8})([HMSmun])")
_SECONDS = {"H": 3_600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_PLAIN = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


class Grpc:
    """One call. `kind` is the content type of the request, and of the answer."""

    def __init__(self, request: Request, headers: Mapping[bytes, bytes], codec: Codec, kind: str) -> None:
        self._request, self._headers, self._codec, self._kind = request, headers, codec, kind

    def timeout(self) -> float | None:
        given = text_of(self._headers, b"grpc-timeout")
        found = _TIMEOUT.fullmatch(given)
        if given and found is None:
            raise invalid([Violation("grpc-timeout", "must be up to 8 digits and a unit: H, M, S, m, u or n")])
        return None if found is None else int(found[1]) * _SECONDS[found[2]]

    async def messages(self, method: Method, limit: int) -> AsyncIterator[Message]:
        gzip = is_gzip(self._headers, b"grpc-encoding")
        async for octets in messages_in(self._body(), limit, gzip=gzip):
            yield self._codec.read(method.input, octets)

    async def answer(self, parts: Parts) -> Answer:
        first = await anext(parts)
        trailers = self._trailers()
        initial = header_fields(first.initial) if isinstance(first, Began) else []
        return StreamedAnswer(200, [*self._head(), *initial], self._written(first, parts, trailers), trailers)

    def refusal(self, status: Status) -> Answer:
        trailers = self._trailers()
        return StreamedAnswer(200, self._head(), self._written(status, None, trailers), trailers)

    def _body(self) -> AsyncIterator[bytes]:
        return self._request.stream()

    def _head(self) -> Headers:
        return [
            (b"content-type", self._kind.encode()),
            (b"grpc-accept-encoding", b"gzip, identity"),
            (b"cache-control", b"no-store"),
        ]

    async def _written(
        self, first: Began | Message | Status, parts: Parts | None, trailers: Headers | None
    ) -> AsyncGenerator[bytes, None]:
        """Writes the parts from the `first` on; a call that was not made has none but that."""
        part = first
        try:
            while parts is not None and not isinstance(part, Status):
                if isinstance(part, Message):
                    yield self._encoded(enveloped(self._codec.write(part)))
                part = await anext(parts)
            assert isinstance(part, Status), "a call ends with its status"
            yield self._end(part, trailers)
        finally:
            if parts is not None:
                await parts.aclose()

    def _encoded(self, octets: bytes) -> bytes:
        return octets

    def _trailers(self) -> Headers | None:
        return []

    def _end(self, status: Status, trailers: Headers | None) -> bytes:
        """Ends the answer by its trailers, which follow the body; returns what the body ends with."""
        assert trailers is not None
        trailers.extend(fields_of(status))
        return b""


class GrpcWeb(Grpc):
    """One call of gRPC-Web. With `text` both bodies are in base64, which is how old browsers read streams."""

    def __init__(
        self, request: Request, headers: Mapping[bytes, bytes], codec: Codec, kind: str, *, text: bool
    ) -> None:
        super().__init__(request, headers, codec, kind)
        self._text = text

    def _body(self) -> AsyncIterator[bytes]:
        return from_base64(super()._body()) if self._text else super()._body()

    def _encoded(self, octets: bytes) -> bytes:
        return b64encode(octets) if self._text else octets

    def _trailers(self) -> Headers | None:
        return None

    def _end(self, status: Status, trailers: Headers | None) -> bytes:
        lines = b"".join(b"%s: %s\r\n" % field for field in fields_of(status))
        return self._encoded(enveloped(lines, TRAILERS))


def fields_of(status: Status) -> Headers:
    """Writes a status as the fields of gRPC's trailers."""
    fields = [(b"grpc-status", b"%d" % status.code.value[0])]
    if status.code is not grpc.StatusCode.OK:
        fields.append((b"grpc-message", quote(status.details, _PLAIN).encode()))
    return fields + header_fields(status.trailing)
