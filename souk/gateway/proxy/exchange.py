"""One try: a request to an instance, and its answer as it comes.

The head and a small body leave together. A large body is sent by a task of its own, so that the upstream may answer
before it has read all of it; that answer goes to the client, and the rest of the body nowhere.
"""

import asyncio
from collections.abc import Callable

from souk.gateway.http.answers import Answer, Headers, HttpAnswer, StreamedAnswer, SwitchedAnswer
from souk.gateway.http.request import Request
from souk.gateway.proxy.connection import UpstreamConnection
from souk.gateway.proxy.faults import FaultKind, UpstreamFault
from souk.gateway.proxy.heads import answered, switched
from souk.gateway.proxy.pool import InstancePool
from souk.gateway.proxy.request_body import OutgoingBody
from souk.gateway.proxy.settings import UpstreamSettings
from souk.gateway.proxy.streamed_body import AnswerBody, check_announced, check_size
from souk.gateway.proxy.websocket.tunnel import Tunnel

FAILING = frozenset({502, 503, 504})
"""Statuses that say that an instance cannot serve, rather than that it refuses."""
CONTINUE_AFTER = 1.0
"""Seconds to wait for `100 Continue` before the body is sent anyway (RFC 9110, 10.1.1)."""


class Exchange:
    """A request and its answer on one connection. `ended` is called once, with whether the
    instance failed and the status of its answer, 0 without one."""

    def __init__(
        self,
        connection: UpstreamConnection,
        pool: InstancePool,
        settings: UpstreamSettings,
        ended: Callable[[bool | None, int], None],
    ) -> None:
        self._connection, self._pool, self._settings, self._ended = connection, pool, settings, ended
        self._sending: asyncio.Task[None] | None = None
        self._over = self._sent_whole = False

    async def head(
        self, request: Request, head: bytes, body: OutgoingBody, timeout: float | None, *, may_switch: bool = False
    ) -> None:
        """Sends the request and waits for the head of the answer; `may_switch` says that a 101 is one.

        Raises UpstreamFault, Problem and ClientGone.
        """
        connection = self._connection
        connection.late_after(timeout)
        try:
            self._sent_whole = body.octets is not None
            octets = head + body.octets if body.octets else head
            connection.begin(octets, head=request.method == "HEAD", may_switch=may_switch)
            if body.octets is None:
                await self._send(body)
            await connection.head()
        finally:
            connection.late_after(None)

    async def _send(self, body: OutgoingBody) -> None:
        connection = self._connection
        if body.waits and not await self._may_continue():
            return
        self._sending = asyncio.create_task(self._send_parts(body))
        self._sending.add_done_callback(self._sent)
        answer = asyncio.ensure_future(connection.head())
        try:
            await asyncio.wait({self._sending, answer}, return_when=asyncio.FIRST_COMPLETED)
            if self._sending.done():
                # A failed connection may still have brought an answer: that one says more.
                failure = self._sending.exception()
                if failure is not None and not (isinstance(failure, UpstreamFault) and connection.reader.status):
                    raise failure
        finally:
            answer.cancel()
            await asyncio.gather(answer, return_exceptions=True)

    def _sent(self, sending: "asyncio.Task[None]") -> None:
        """Ends an answer that had begun before the request's body could be sent in full."""
        if not sending.cancelled() and sending.exception() is not None and not self._connection.reader.complete:
            self._connection.fail(FaultKind.BROKEN, f"the request could not be sent: {sending.exception()}")

    async def _may_continue(self) -> bool:
        """Waits until the body is wanted; returns False if there is an answer already."""
        reader = self._connection.reader
        try:
            async with asyncio.timeout(CONTINUE_AFTER):
                while not (reader.status or reader.continued):
                    await self._connection.changed()
        except TimeoutError:
            return True
        return not reader.status

    async def _send_parts(self, body: OutgoingBody) -> None:
        async for part in body.parts():
            try:
                async with asyncio.timeout(self._settings.idle):
                    await self._connection.write(part)
            except TimeoutError:
                raise UpstreamFault(FaultKind.LATE, "the upstream does not read the body") from None

    @property
    def headers(self) -> Headers:
        """The headers of the answer as they came."""
        return self._connection.reader.headers

    def answer(self, late_at: float | None) -> Answer:
        """Makes the answer, of which the head has come; whole if its body has come, too. A body that is not complete
        at `late_at`, by the event loop's time, is lost. Raises UpstreamFault for an answer that is too large."""
        reader = self._connection.reader
        if reader.switched:
            tunnel = Tunnel(self._connection, self._settings.idle, lambda: self.close(failed=False))
            return SwitchedAnswer(reader.status, switched(reader.headers), tunnel)
        status, headers = reader.status, reader.headers
        if reader.complete and self._sending is None and not reader.bodiless:
            body = b"".join(reader.parts)
            check_size(len(body), self._settings.max_answer)
            self.close(failed=False)
            return HttpAnswer(status, answered(headers, whole=True), body)
        if not reader.bodiless:
            check_announced(status, headers, self._settings.max_answer)
        rest = AnswerBody(self._connection, self.end, self._settings, late_at)
        return StreamedAnswer(status, answered(headers), rest)

    def end(self, failed: bool | None) -> None:
        """Ends the exchange, as `close` does."""
        self.close(failed=failed)

    def close(self, *, failed: bool | None) -> None:
        """Ends the exchange; the connection is kept if both messages are through. `failed` is None if the end says
        nothing about the instance."""
        if self._over:
            return
        self._over = True
        sending = self._sending
        # A connection on which a part of the body is missing would take the next request for that part.
        sent = self._sent_whole
        if sending is not None and not sending.done():
            sending.cancel()
        elif sending is not None:
            sent = not sending.cancelled() and sending.exception() is None
        status = self._connection.reader.status
        if failed is False:
            failed = status in FAILING
        self._pool.give_back(self._connection, sent=sent)
        self._ended(failed, status)
