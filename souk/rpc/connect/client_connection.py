"""The caller's end of a Connect connection: it carries one call at a time, and knows exactly how each ended.

Only a complete answer counts. A connection that ends earlier leaves the call UNKNOWN, and so does an answer that
is not valid. The one exception is 408 without a body on a connection that had carried a call before: the peer
ended it before it read the request (RFC 9110, 15.5.9), so the request is sent again. If that fails, the call
stays UNKNOWN, because octets of it were written.
"""

import asyncio
import math
import select
from typing import Protocol, cast

import grpc

from souk.http1.reader import BodyTooLarge, HeadTooLarge, Malformed, ResponseReader
from souk.rpc.call import UNREADABLE, CallFailed, Pairs, Status, reply_to
from souk.rpc.connect.errors import decode
from souk.rpc.connect.headers import lines, split
from souk.rpc.connect.reply import ConnectReply
from souk.rpc.metadata import LIMIT, InvalidMetadata, size
from souk.rpc.transport import MESSAGE_LIMIT

_Code = grpc.StatusCode
_REQUEST_TIMEOUT = 408
_LONGEST_TIMEOUT = 9_999_999_999

LOST = Status(_Code.UNAVAILABLE, "the connection was lost before the answer was complete")
_TOO_MUCH_METADATA = Status(_Code.RESOURCE_EXHAUSTED, f"received metadata size exceeds hard limit (vs. {LIMIT})")


class ConnectionPool(Protocol):
    """What a connection needs of its pool."""

    def head(self, path: str) -> str:
        """Returns the first lines of a request."""
        ...

    def free(self, connection: "ClientConnection") -> None:
        """Takes back a connection that can carry another call."""
        ...

    def gone(self, connection: "ClientConnection") -> None:
        """Forgets a connection that carries no more calls."""
        ...

    def again(self, reply: ConnectReply) -> None:
        """Sends a call again over another connection, after the peer has said that it read no request."""
        ...


class ClientConnection(asyncio.Protocol):
    """One connection to a callee. `since` is when it became idle, in seconds of the monotonic clock."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._reader = ResponseReader(MESSAGE_LIMIT)
        self._reply: ConnectReply | None = None
        self._calls = 0
        self._clogged = False
        self._poll = select.poll()
        self.since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    @property
    def alive(self) -> bool:
        """Whether the connection can carry a call: it is open, and neither data nor its end has arrived.

        It asks the kernel, because the event loop may not have read yet what arrived.
        """
        return not self._transport.is_closing() and not self._poll.poll(0)

    @property
    def reply(self) -> ConnectReply | None:
        """The call that is under way, or None."""
        return self._reply

    def send(self, reply: ConnectReply, remaining: float) -> None:
        """Writes a request. `remaining` is the time to the call's deadline, in seconds."""
        call = reply.call
        try:
            head = (
                f"{self._pool.head(call.method.full_name)}{_timeout(remaining)}"
                f"content-length: {len(call.request)}\r\n{lines(call.metadata)}\r\n"
            ).encode("ascii")
        except (InvalidMetadata, UnicodeEncodeError):
            reply.fail(Status(_Code.INTERNAL, "Invalid metadata", sent=False))
            self._pool.free(self)
            return
        self._reply = reply
        self._calls += 1
        reply.sent(self)
        self._transport.write(head + call.request)

    def abort(self) -> None:
        """Closes the connection at once, and forgets the call that is under way."""
        self._reply = None
        self._pool.gone(self)
        self._transport.abort()

    def fail(self, status: Status) -> None:
        """Closes the connection at once, and fails the call that is under way with a status."""
        reply = self._reply
        if reply is not None:
            reply.fail(status)
        self.abort()

    def data_received(self, data: bytes) -> None:
        if self._reply is None:  # data without a request
            self.abort()
            return
        try:
            if self._reader.feed(data):
                self._answered(self._reply)
            elif self._reader.in_body:
                self._reader.expected()
        except Malformed as error:
            self.fail(Status(_Code.INTERNAL, f"the answer is not HTTP/1.1: {error}"))
        except HeadTooLarge:
            self.fail(_TOO_MUCH_METADATA)
        except BodyTooLarge as error:
            detail = f"CLIENT: Received message larger than max ({error.octets} vs. {MESSAGE_LIMIT})"
            self.fail(Status(_Code.RESOURCE_EXHAUSTED, detail))

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(LOST)

    def pause_writing(self) -> None:
        self._clogged = True

    def resume_writing(self) -> None:
        self._clogged = False

    def _answered(self, reply: ConnectReply) -> None:
        reader = self._reader
        if self._calls > 1 and reader.status == _REQUEST_TIMEOUT and not (reader.body or reader.keep_alive):
            self.abort()
            reply.lost()
            self._pool.again(reply)
            return
        self._reply = None
        settle(reply, reader)
        if reader.keep_alive and not reader.surplus and not self._clogged:
            reader.next()
            self._pool.free(self)
        else:
            self.abort()


def _timeout(remaining: float) -> str:
    """Returns the header that tells the callee its time-out, rounded up so that the caller gives up first."""
    if remaining == math.inf:
        return ""
    return f"connect-timeout-ms: {min(max(int(remaining * 1_000) + 1, 1), _LONGEST_TIMEOUT)}\r\n"


def settle(reply: ConnectReply, reader: ResponseReader) -> None:
    """Ends a call with its complete answer."""
    reply.date = reader.header(b"date") or b""
    try:
        initial, trailing = split(reader.headers)
    except InvalidMetadata:
        reply.fail(Status(_Code.INTERNAL, "Invalid metadata"))
        return
    if size(initial) > LIMIT or size(trailing) > LIMIT:
        reply.fail(_TOO_MUCH_METADATA)
        return
    kind = reader.header(b"content-type") or b""
    refusal = _unreadable(reader, kind)
    if refusal is not None:
        reply.fail(refusal._replace(trailing=trailing), initial)
    elif reader.status == 200:
        _succeed(reply, bytes(reader.body), initial, trailing)
    else:
        body = bytes(reader.body) if kind.partition(b";")[0] == b"application/json" else b""
        reply.fail(decode(reader.status, body, trailing), initial)


def _succeed(reply: ConnectReply, message: bytes, initial: Pairs, trailing: Pairs) -> None:
    try:
        reply.succeed(reply_to(reply.call, message, initial, trailing))
    except CallFailed:
        reply.fail(UNREADABLE)


def _unreadable(reader: ResponseReader, kind: bytes) -> Status | None:
    """Returns the status of an answer whose body cannot be read; None if it can."""
    encoding = reader.header(b"content-encoding") or b"identity"
    if encoding != b"identity":
        return Status(_Code.INTERNAL, "the answer has an encoding that was not asked for")
    if reader.status != 200 or kind == b"application/proto":
        return None
    code = _Code.INTERNAL if kind.startswith(b"application/") else _Code.UNKNOWN
    return Status(code, "the answer is not a protobuf message")
