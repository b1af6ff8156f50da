"""The transport to a service that speaks plain REST, by the HTTP rules of its contract.

A plain generated stub works over it:

    stub = OrderServiceStub(rest_channel("http://orders.example:8000"))

A call is NOT_SENT as long as no octet of it was written. A request that HTTP or the contract calls repeatable goes over
a kept connection; any other one over a connection of its own, since nobody may send it twice.
"""

import asyncio
from collections.abc import Awaitable, Mapping

import grpc
import grpc.aio

from souk.descriptors.contract import Method
from souk.http1.client import HttpClient, HttpResponse, NoAnswer, NotSent
from souk.kernel.clock import Clock, SystemClock
from souk.rpc.call import UNREADABLE, Call, Reply, Status, failed, not_sent, reply_to
from souk.rpc.client.channel import Channel
from souk.rpc.in_process.reply import InProcessStream
from souk.rpc.metadata import TRACEPARENT, TRACESTATE, first
from souk.rpc.rest.replies import ReplyReader
from souk.rpc.rest.requests import RequestWriter, RestRequest
from souk.rpc.transport import EXPIRED, MESSAGE_LIMIT, Stream
from souk.telemetry.tracing.calling import REST, SYSTEM

_REPEATABLE = frozenset({"GET", "PUT", "DELETE"})
_LONGEST = 3_600.0
"""Seconds after which a call ends that has no deadline."""
_NO_STREAMS = Status(grpc.StatusCode.UNIMPLEMENTED, "streams are not called over REST", sent=False)


class RestTransport:
    """A transport to the service at `url`: http, https, or unix:PATH. `headers` go with each request, such as a key."""

    def __init__(self, url: str, clock: Clock | None = None, headers: Mapping[str, str] | None = None) -> None:
        self._url, self._headers = url, dict(headers or {})
        self._clock = clock or SystemClock()
        self._client = HttpClient(url, _LONGEST)
        self._methods: dict[str, tuple[RequestWriter, ReplyReader]] = {}
        self._closed = False

    def unary(self, call: Call) -> Awaitable[Reply]:
        """Makes a unary call."""
        return self._unary(call)

    async def _unary(self, call: Call) -> Reply:
        if self._closed:
            raise not_sent("the transport is closed")
        try:
            writer, reader = self._of(call.method)
            request = writer.write(call.method.input.FromString(call.request))
        except ValueError as error:
            raise failed(call.method, Status(grpc.StatusCode.INTERNAL, str(error), sent=False)) from error
        if call.span is not None:
            call.span.attributes[SYSTEM] = REST
        response = await self._sent(call, request)
        if not 200 <= response.status < 300:
            raise failed(call.method, reader.failure(response))
        try:
            reply = reader.reply(response)
        except ValueError as error:
            raise failed(call.method, UNREADABLE) from error
        return reply_to(call, reply.SerializeToString(), (), ())

    def _of(self, method: Method) -> tuple[RequestWriter, ReplyReader]:
        known = self._methods.get(method.full_name)
        if known is None:
            writer = RequestWriter(method)
            known = self._methods[method.full_name] = writer, ReplyReader(method, writer.rule)
        return known

    async def _sent(self, call: Call, request: RestRequest) -> HttpResponse:
        handed_over = False
        try:
            async with asyncio.timeout(min(call.deadline - self._clock.monotonic(), _LONGEST)):
                if request.body is not None and len(request.body) > MESSAGE_LIMIT:
                    raise not_sent("the request is too large", grpc.StatusCode.RESOURCE_EXHAUSTED)
                handed_over = True
                return await self._exchange(call, request)
        except TimeoutError as error:
            raise failed(call.method, EXPIRED._replace(sent=handed_over)) from error
        except NotSent as error:
            raise not_sent(str(error)) from error
        except NoAnswer as error:
            raise failed(call.method, Status(grpc.StatusCode.UNAVAILABLE, str(error))) from error

    async def _exchange(self, call: Call, request: RestRequest) -> HttpResponse:
        headers = {**self._headers, "accept": "application/json"}
        if request.body is not None and request.content_type:
            headers["content-type"] = request.content_type
        if trace := first(call.metadata, TRACEPARENT):
            headers["traceparent"] = trace
            if state := first(call.metadata, TRACESTATE):
                headers["tracestate"] = state
        if call.idempotency_key:
            headers["idempotency-key"] = call.idempotency_key
        repeatable = request.verb in _REPEATABLE or call.method.idempotent or bool(call.idempotency_key)
        client = self._client if repeatable else HttpClient(self._url, _LONGEST)
        try:
            return await client.exchange(request.verb, request.target, request.body, headers)
        finally:
            if client is not self._client:
                await client.close()

    def stream(self, call: Call, *, one_request: bool) -> Stream:
        """Ends a call with a stream in it at once: REST as it is read here carries none."""
        stream = InProcessStream()
        stream.finished(_NO_STREAMS, None)
        return stream

    async def ready(self) -> None:
        """Returns at once: only a call shows whether the service answers."""

    async def close(self, grace: float | None = None) -> None:
        """Sends no further calls; running ones go on to their end."""
        self._closed = True
        await self._client.close()


def rest_channel(url: str, headers: Mapping[str, str] | None = None) -> grpc.aio.Channel:
    """Returns a channel to a service that speaks REST by the HTTP rules of its contract; any of its stubs takes it.

    `headers` go with each request, such as a key of the service's own; the caller's token does not.
    """
    return Channel(RestTransport(url, headers=headers))
