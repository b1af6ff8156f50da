"""The channel behind a stub: one for each service that is called, with any transport.

    stub -> Channel (deadline, caller, trace, key) -> layers, outermost first -> transport

A plain generated stub works with it. Every call has a deadline, and no call is made inside a database
transaction.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeAlias

import grpc
import grpc.aio

from souk.kernel.clock import Clock, SystemClock
from souk.rpc.call import Call, Decode, Invoke, Layer, Pairs, decoded
from souk.rpc.caller_token import CallerTokens
from souk.rpc.client.outgoing import Outgoing, method_of
from souk.rpc.client.spans import traced_stream
from souk.rpc.client.stream_calls import Requests, StreamStreamCall, StreamUnaryCall, UnaryStreamCall
from souk.rpc.client.unary_call import UnaryCall, started
from souk.rpc.metadata import Given
from souk.rpc.transport import Stream, Transport
from souk.telemetry.tracing.calling import GRPC
from souk.telemetry.tracing.tracer import Tracer

Encode: TypeAlias = Callable[[Any], bytes]


class Channel(grpc.aio.Channel):
    """Makes the calls of one service to another. Closing it does not close the transport: its creator does that.

    `tokens` sign in the calling service's name; without them calls carry no caller. `audience` is the name of the
    service that is called, by default the service of the contract. `layers` wrap unary calls, the first outermost;
    streams do not go through them. `tracer` records streams; unary calls are recorded by one of the layers, which must
    be there then.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        tokens: CallerTokens | None = None,
        audience: str = "",
        layers: Sequence[Layer] = (),
        clock: Clock | None = None,
        tracer: Tracer | None = None,
        system: str = GRPC,
    ) -> None:
        self.clock = clock or SystemClock()
        self.outgoing = Outgoing(tokens, self.clock, audience, spans=tracer is not None)
        self._tracer, self._system = tracer, system
        self._transport = transport
        self._closed = False
        self._invoke: Invoke = transport.unary
        for layer in reversed(layers):
            self._invoke = layer(self._invoke)

    @property
    def invoke(self) -> Invoke:
        """Makes a unary call through every layer. Raises UsageError once the channel is closed."""
        self._raise_if_closed()
        return self._invoke

    @property
    def stream(self) -> Callable[..., Stream]:
        """Begins a call with a stream in it. Raises UsageError once the channel is closed."""
        self._raise_if_closed()
        begin = self._transport.stream
        return begin if self._tracer is None else partial(traced_stream, self._tracer, self._system, begin)

    def unary_unary(
        self,
        method: str,
        request_serializer: Encode | None = None,
        response_deserializer: Decode | None = None,
        _registered_method: bool = False,
    ) -> grpc.aio.UnaryUnaryMultiCallable[Any, Any]:
        return UnaryUnary(self, method, request_serializer, response_deserializer)

    def unary_stream(
        self,
        method: str,
        request_serializer: Encode | None = None,
        response_deserializer: Decode | None = None,
        _registered_method: bool = False,
    ) -> grpc.aio.UnaryStreamMultiCallable[Any, Any]:
        return UnaryStream(self, method, request_serializer, response_deserializer)

    def stream_unary(
        self,
        method: str,
        request_serializer: Encode | None = None,
        response_deserializer: Decode | None = None,
        _registered_method: bool = False,
    ) -> grpc.aio.StreamUnaryMultiCallable[Any, Any]:
        return StreamUnary(self, method, request_serializer, response_deserializer)

    def stream_stream(
        self,
        method: str,
        request_serializer: Encode | None = None,
        response_deserializer: Decode | None = None,
        _registered_method: bool = False,
    ) -> grpc.aio.StreamStreamMultiCallable[Any, Any]:
        return StreamStream(self, method, request_serializer, response_deserializer)

    async def close(self, grace: float | None = None) -> None:
        """Refuses further calls; those that are under way go on."""
        self._closed = True

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Returns READY until the channel is closed: only a call itself shows whether it can be sent."""
        return grpc.ChannelConnectivity.SHUTDOWN if self._closed else grpc.ChannelConnectivity.READY

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        if last_observed_state is self.get_state():
            await asyncio.get_running_loop().create_future()

    async def channel_ready(self) -> None:
        await self._transport.ready()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _raise_if_closed(self) -> None:
        if self._closed:
            raise grpc.aio.UsageError("Channel is closed.")


class _Multi:
    """One method of a stub, which makes a call each time it is called."""

    def __init__(self, channel: Channel, path: str, encode: Encode | None, decode: Decode | None) -> None:
        self._channel = channel
        self._method = method_of(path)
        self._encode = encode or bytes
        self._decode = decode or bytes
        self._outgoing = channel.outgoing
        self._clock = channel.clock

    def _call(
        self, request: Any, encoded: bytes, timeout: float | None, metadata: Given, wait_for_ready: bool | None
    ) -> Call:
        return self._outgoing.call(self._method, request, encoded, timeout, metadata, wait_for_ready, self._decode)


class UnaryUnary(_Multi, grpc.aio.UnaryUnaryMultiCallable[Any, Any]):
    """A unary method."""

    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Given = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> UnaryCall:
        call = self._call(request, self._encode(request), timeout, metadata, wait_for_ready)
        return UnaryCall(call, started(self._channel.invoke(call)), self._clock)

    async def answered(self, request: Any, timeout: float | None) -> tuple[Any, Pairs]:
        """Makes a call and waits for it; returns the response and its trailing metadata.

        The same as awaiting the call, without a task and an object for it, which a caller who only waits does not need.
        """
        call = self._call(request, self._encode(request), timeout, None, None)
        reply = await self._channel.invoke(call)
        response = decoded(call, reply.message) if reply.decoded is None else reply.decoded
        return response, reply.trailing_metadata


class UnaryStream(_Multi, grpc.aio.UnaryStreamMultiCallable[Any, Any]):
    """A method with one request and a stream of responses."""

    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Given = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> UnaryStreamCall:
        call = self._call(request, self._encode(request), timeout, metadata, wait_for_ready)
        return UnaryStreamCall(call, self._channel.stream(call, one_request=True), self._clock)


class StreamUnary(_Multi, grpc.aio.StreamUnaryMultiCallable[Any, Any]):
    """A method with a stream of requests and one response."""

    def __call__(
        self,
        request_iterator: Requests | None = None,
        timeout: float | None = None,
        metadata: Given = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> StreamUnaryCall:
        call = self._call(None, b"", timeout, metadata, wait_for_ready)
        stream = self._channel.stream(call, one_request=False)
        made = StreamUnaryCall(call, stream, self._clock, self._encode)
        made.feed(request_iterator)
        return made


class StreamStream(_Multi, grpc.aio.StreamStreamMultiCallable[Any, Any]):
    """A method with a stream in each direction."""

    def __call__(
        self,
        request_iterator: Requests | None = None,
        timeout: float | None = None,
        metadata: Given = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> StreamStreamCall:
        call = self._call(None, b"", timeout, metadata, wait_for_ready)
        stream = self._channel.stream(call, one_request=False)
        made = StreamStreamCall(call, stream, self._clock, self._encode)
        made.feed(request_iterator)
        return made
