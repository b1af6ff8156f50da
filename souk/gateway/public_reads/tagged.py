"""Public reads are answered with an entity tag, compressed, and with 304 if the client has it already.

Only answers that depend on no caller are compressed: a secret beside text that an attacker chooses could be guessed
from the length (BREACH). The tag is a weak one, since the same answer is sent in several encodings (RFC 9110, 8.8.3).
"""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b

from cachetools import LRUCache

from souk.gateway.endpoint import Handle
from souk.gateway.http.answers import Answer, Headers, HttpAnswer
from souk.gateway.http.content_encoding import ENCODERS, chosen
from souk.gateway.http.request import Request

LEAST = 1_024
"""Octets from which on an answer is compressed."""
_KEPT = 4 * 1024 * 1024
"""Octets of compressed answers that are kept, so that the same answer is not compressed again."""
_VARY = (b"vary", b"accept-encoding")
_REVALIDATE = (b"cache-control", b"no-cache")


class CompressedAnswers:
    """The answers that were compressed lately, by tag and encoding."""

    def __init__(self) -> None:
        self._kept: LRUCache[tuple[bytes, str], bytes] = LRUCache(_KEPT, getsizeof=len)

    def compressed(self, tag: bytes, encoding: str, body: bytes) -> bytes:
        """Compresses a body, or finds it; its tag stands for it."""
        found = self._kept.get((tag, encoding))
        if found is None:
            found = ENCODERS[encoding](body)
            if len(found) <= _KEPT:
                self._kept[tag, encoding] = found
        return found


class PublicRead:
    """The handler of a route that reads, and whose answers are the same for everybody."""

    def __init__(self, handle: Handle, kept: CompressedAnswers) -> None:
        self._handle, self._kept = handle, kept

    async def __call__(self, request: Request, captures: Sequence[str | None]) -> Answer:
        answer = await self._handle(request, captures)
        if not isinstance(answer, HttpAnswer) or answer.status != 200 or not answer.body:
            return answer
        tag = b'W/"%b"' % blake2b(answer.body, digest_size=12).hexdigest().encode()
        headers = _with_tag(answer.headers, tag)
        if _has(request.header(b"if-none-match"), tag):
            unchanged = [pair for pair in headers if pair[0] not in (b"content-type", b"content-length")]
            return HttpAnswer(304, unchanged)
        encoding = chosen(request.header(b"accept-encoding")) if len(answer.body) >= LEAST else ""
        if not encoding:
            return replace(answer, headers=headers)
        packed = self._kept.compressed(tag, encoding, answer.body)
        if len(packed) >= len(answer.body):
            return replace(answer, headers=headers)
        return replace(answer, headers=[*headers, (b"content-encoding", encoding.encode())], body=packed)


def _with_tag(headers: Headers, tag: bytes) -> Headers:
    """Adds the tag; a browser then asks each time whether it has changed, unless the headers say better."""
    more: Headers = [(b"etag", tag), _VARY]
    if not any(name == b"cache-control" for name, _ in headers):
        more.append(_REVALIDATE)
    return [*headers, *more]


def _has(tags: str, tag: bytes) -> bool:
    """Tells whether If-None-Match has the tag, by weak comparison (RFC 9110, 13.1.2)."""
    if not tags:
        return False
    opaque = tag.removeprefix(b"W/").decode()
    return tags.strip() == "*" or opaque in (each.strip().removeprefix("W/") for each in tags.split(","))
