"""What a protocol over HTTP does with a call: it reads the request's messages, and writes the answer.

head -> AskedCall        body -> messages        Began, messages, Status -> answer
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Protocol

from google.protobuf.message import Message

from souk.descriptors.contract import Method
from souk.gateway.http.answers import Answer
from souk.gateway.http.problem import Problem
from souk.gateway.http.request import Request
from souk.gateway.rpc.public_calls import Began
from souk.gateway.rpc.statuses import UNKNOWN_ENCODING
from souk.rpc.call import Status

Parts = AsyncGenerator[Began | Message | Status, None]
GZIP, IDENTITY = "gzip", "identity"


class Wire(Protocol):
    """One protocol, for one request. `timeout` and `messages` raise Problem."""

    def timeout(self) -> float | None:
        """Returns the client's time-out in seconds; None without one."""
        ...

    def messages(self, method: Method, limit: int) -> AsyncIterator[Message]:
        """Reads the messages of the request, each at most `limit` octets."""
        ...

    async def answer(self, parts: Parts) -> Answer:
        """Writes the answer."""
        ...

    def refusal(self, status: Status) -> Answer:
        """Writes the answer to a request of which no call was made."""
        ...


def text_of(headers: Mapping[bytes, bytes], name: bytes) -> str:
    """Returns a header; empty when it was not sent."""
    return headers.get(name, b"").decode("latin-1")


def is_gzip(headers: Mapping[bytes, bytes], name: bytes) -> bool:
    """Tells whether messages are compressed with gzip. Raises Problem 415 for any other encoding."""
    encoding = text_of(headers, name).lower()
    if encoding not in ("", IDENTITY, GZIP):
        raise Problem(415, UNKNOWN_ENCODING, f"the encoding {encoding[:40]!r} is not known; gzip and identity are")
    return encoding == GZIP


async def body_of(request: Request, limit: int) -> bytes:
    """Reads a whole body of at most `limit` octets. Raises Problem."""
    return b"".join([part async for part in request.stream(limit)])
