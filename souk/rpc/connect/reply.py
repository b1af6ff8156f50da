"""The caller's end of a unary call over Connect."""

import asyncio
from typing import Protocol

import grpc

from souk.rpc.call import Call, Pairs, Reply, Status, failed
from souk.rpc.transport import EXPIRED

_LONGEST = 1e7  # seconds; for a call without a deadline


class Carrier(Protocol):
    """The connection that a call was written to."""

    def abort(self) -> None:
        """Closes the connection, which cancels the handler."""
        ...


class ConnectReply(asyncio.Future[Reply]):
    """The future answer to a call. Cancelling it cancels the handler. `deadline_in` is in seconds.

    A failure is NOT_SENT until `sent` was called, and UNKNOWN from then on, even if a second attempt is not sent.
    """

    def __init__(self, call: Call, deadline_in: float) -> None:
        super().__init__()
        self.call = call
        self.date = b""  # of the answer, if it had one
        self.attempts_before = 0  # how many attempts to connect its pool had begun when it began to wait for one
        self._carrier: Carrier | None = None
        self._handed_over = False
        self._timer = self.get_loop().call_later(min(deadline_in, _LONGEST), self._expire)

    def sent(self, carrier: Carrier) -> None:
        """Notes that the request is about to be written to a connection."""
        self._carrier = carrier
        self._handed_over = True

    def lost(self) -> None:
        """Notes that the connection has ended and that another one will carry the call."""
        self._carrier = None

    def succeed(self, reply: Reply) -> None:
        """Ends the call with its answer."""
        if not self.done():
            self._timer.cancel()
            self._carrier = None
            self.set_result(reply)

    def fail(self, status: Status, initial: Pairs = ()) -> None:
        """Ends the call with a status that is not OK."""
        if not self.done():
            self._timer.cancel()
            status = status._replace(sent=self._handed_over)
            self._carrier = None
            self.set_exception(failed(self.call.method, status, initial))
            self.exception()  # otherwise asyncio complains about a call that nobody awaits

    def cancel(self, msg: object = None) -> bool:
        if not super().cancel(msg):
            return False
        self._timer.cancel()
        _let_go(self._carrier)
        self._carrier = None
        return True

    def _expire(self) -> None:
        carrier = self._carrier
        self.fail(EXPIRED)
        _let_go(carrier)


def _let_go(carrier: Carrier | None) -> None:
    if carrier is not None:
        carrier.abort()


def refused(call: Call, code: grpc.StatusCode, details: str, *, sent: bool = False) -> asyncio.Future[Reply]:
    """Makes the reply to a call that is not made."""
    reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    reply.set_exception(failed(call.method, Status(code, details, sent=sent)))
    reply.exception()
    return reply
