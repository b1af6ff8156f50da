"""One try in HTTP/2: a request to an instance, and its answer as it comes, with its trailers."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

from souk.gateway.http.answers import Answer, Headers, HttpAnswer, StreamedAnswer
from souk.gateway.http.request import Request
from souk.gateway.proxy.exchange import CONTINUE_AFTER, FAILING
from souk.gateway.proxy.faults import FaultKind, UpstreamFault
from souk.gateway.proxy.heads import answered
from souk.gateway.proxy.http2.connection import Http2UpstreamConnection
from souk.gateway.proxy.http2.stream import UpstreamStream
from souk.gateway.proxy.request_body import OutgoingBody
from souk.gateway.proxy.settings import UpstreamSettings
from souk.gateway.proxy.streamed_body import AnswerBody, check_announced, check_size

_GRPC = b"application/grpc"
_OF_TRAILERS = (b"grpc-status", b"grpc-message", b"grpc-status-details-bin")


class Http2Exchange:
    """A request and its answer on a stream of its own. `ended` is called once, with whether the instance failed
    and the status of its answer, 0 without one."""

    def __init__(
        self, connection: Http2UpstreamConnection, settings: UpstreamSettings, ended: Callable[[bool | None, int], None]
    ) -> None:
        self._connection, self._settings, self._ended = connection, settings, ended
        self._stream: UpstreamStream | None = None
        self._sending: asyncio.Task[None] | None = None
        self._takes_trailers = self._bodiless = self._over = False

    async def head(self, request: Request, fields: Headers, body: OutgoingBody, timeout: float | None) -> None:
        """Sends the request and waits for the head of the answer. Raises UpstreamFault, Problem and ClientGone."""
        stream = self._stream = self._connection.begin(fields, last=body.octets == b"")
        self._bodiless = stream.bodiless = request.method == "HEAD"
        self._takes_trailers = request.takes_trailers and not self._bodiless
        late = None
        if timeout is not None:
            fault = UpstreamFault(FaultKind.LATE, f"no answer within {timeout} seconds")
            late = asyncio.get_running_loop().call_later(timeout, stream.fail, fault)
        try:
            if not stream.sent:
                await self._send(stream, body)
            await stream.head()
        finally:
            if late is not None:
                late.cancel()

    async def _send(self, stream: UpstreamStream, body: OutgoingBody) -> None:
        """Sends the body in a task of its own, and waits until it is sent or the upstream answers."""
        if body.waits and not await self._may_continue(stream):
            return
        self._sending = asyncio.create_task(self._send_parts(stream, body))
        self._sending.add_done_callback(self._sent)
        answer = asyncio.ensure_future(stream.head())
        try:
            await asyncio.wait({self._sending, answer}, return_when=asyncio.FIRST_COMPLETED)
            failure = self._sending.exception() if self._sending.done() else None
            # A failed stream may still have brought an answer: that one says more.
            if failure is not None and not (isinstance(failure, UpstreamFault) and stream.status):
                raise failure
        finally:
            answer.cancel()
            await asyncio.gather(answer, return_exceptions=True)

    def _sent(self, sending: "asyncio.Task[None]") -> None:
        if not sending.cancelled() and sending.exception() is not None and self._stream is not None:
            why = f"the request could not be sent: {sending.exception()}"
            self._stream.fail(UpstreamFault(FaultKind.BROKEN, why))

    async def _may_continue(self, stream: UpstreamStream) -> bool:
        try:
            async with asyncio.timeout(CONTINUE_AFTER):
                while not (stream.status or stream.continued):
                    await stream.changed()
        except TimeoutError:
            return True
        return not stream.status

    async def _send_parts(self, stream: UpstreamStream, body: OutgoingBody) -> None:
        try:
            if body.octets is not None:
                async with asyncio.timeout(self._settings.idle):
                    await stream.send(body.octets, last=True)
                return
            async for part in body.bare_parts():
                async with asyncio.timeout(self._settings.idle):
                    await stream.send(part)
            await stream.send(b"", last=True)
        except TimeoutError:
            raise UpstreamFault(FaultKind.LATE, "the upstream does not read the body") from None

    @property
    def headers(self) -> Headers:
        """The headers of the answer as they came."""
        return [] if self._stream is None else self._stream.headers

    def answer(self, late_at: float | None) -> Answer:
        """Makes the answer, of which the head has come; whole if its body has come, too, and no trailers.

        Raises UpstreamFault for an answer that is too large.
        """
        stream = self._stream
        assert stream is not None, "the head comes first"
        headers = answered(stream.headers, whole=stream.complete and not self._bodiless)
        if stream.complete and not stream.ready:
            headers, trailers = _apart(headers)
            stream.trailers += trailers
        if stream.complete and not (stream.trailers or self._bodiless):
            body = stream.rest()
            check_size(len(body), self._settings.max_answer)
            self.close(failed=False)
            return HttpAnswer(stream.status, headers, body)
        if not self._bodiless:
            check_announced(stream.status, headers, self._settings.max_answer)
        parts = AnswerBody(stream, self.end, self._settings, late_at)
        if not self._takes_trailers:
            return StreamedAnswer(stream.status, headers, parts)
        trailers = []
        return StreamedAnswer(stream.status, headers, _TrailedBody(parts, stream, trailers), trailers)

    def end(self, failed: bool | None) -> None:
        """Ends the exchange, as `close` does."""
        self.close(failed=failed)

    def close(self, *, failed: bool | None) -> None:
        """Ends the exchange. `failed` is None if the end says nothing about the instance."""
        if self._over:
            return
        self._over = True
        if self._sending is not None and not self._sending.done():
            self._sending.cancel()
        status = 0
        if self._stream is not None:
            status = self._stream.status
            if failed is False:
                failed = status in FAILING
            self._stream.close()
        self._ended(failed, status)


class _TrailedBody(AsyncGenerator[bytes, None]):
    """A body that fills `trailers` at its end."""

    def __init__(self, body: AsyncGenerator[bytes, None], stream: UpstreamStream, trailers: Headers) -> None:
        self._body, self._stream, self._trailers = body, stream, trailers

    async def asend(self, value: None) -> bytes:
        try:
            return await self._body.asend(value)
        except StopAsyncIteration:
            self._trailers[:] = [pair for pair in self._stream.trailers if not pair[0].startswith((b":", b"souk-"))]
            raise

    async def athrow(self, typ: Any, val: Any = None, tb: Any = None) -> bytes:
        return await self._body.athrow(typ, val, tb)

    async def aclose(self) -> None:
        await self._body.aclose()


def _apart(headers: Headers) -> tuple[Headers, Headers]:
    """Divides a head that is the whole answer of gRPC ("Trailers-Only") into a head and trailers."""
    if not dict(headers).get(b"content-type", b"").startswith(_GRPC):
        return headers, []
    kept = [pair for pair in headers if pair[0] not in _OF_TRAILERS]
    return kept, [pair for pair in headers if pair[0] in _OF_TRAILERS]
