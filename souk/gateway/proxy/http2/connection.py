"""A connection to one instance of an upstream in HTTP/2, over h2, which reads and writes the frames.

It begins with the preface: over TLS by agreement (ALPN), without TLS by prior knowledge (RFC 9113, 3.3). A stream is
read from no further than its window before its receiver has room.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import cast

import h2.config
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from souk.gateway.http.answers import Headers
from souk.gateway.proxy.faults import FaultKind, UpstreamFault
from souk.gateway.proxy.http2.answer_fields import sound, status_of
from souk.gateway.proxy.http2.stream import UpstreamStream
from souk.gateway.proxy.settings import UpstreamSettings
from souk.http2.budget import FrameBudget
from souk.http2.frames import LastingH2Connection

MOST_STREAMS = 256
"""Requests that share a connection at most, if the upstream takes so many."""
_SWITCHING = 101
_FULL_WINDOWS = 16
"""How many streams may fill their windows at once before the connection's own window is full."""
_BURST, _EACH_SECOND = 1_000, 1_000
"""Frames without use that an upstream may send at once, and that it may send in a second."""
_MOST_UNREAD = 100
"""Frames without use that an upstream may send while it reads nothing."""
_WINDOWS = 10
"""How often an upstream may make room for each part of a body that it is sent."""
_CHEAP = (
    h2.events.AlternativeServiceAvailable,
    h2.events.PingAckReceived,
    h2.events.PingReceived,
    h2.events.PriorityUpdated,
    h2.events.RemoteSettingsChanged,
    h2.events.StreamReset,
    h2.events.UnknownFrameReceived,
    h2.events.WindowUpdated,
)
_NOT_DONE = frozenset({h2.errors.ErrorCodes.REFUSED_STREAM, h2.errors.ErrorCodes.HTTP_1_1_REQUIRED})


class Http2UpstreamConnection(asyncio.Protocol):
    """One connection. `used` says whether it has carried a request; `since` is when its last request ended."""

    def __init__(self, settings: UpstreamSettings, gone: Callable[["Http2UpstreamConnection"], None]) -> None:
        self._gone, self._read_ahead = gone, settings.read_ahead
        config = h2.config.H2Configuration(client_side=True, header_encoding=None)
        self._h2 = LastingH2Connection(config)
        self._h2.local_settings = h2.settings.Settings(
            client=True,
            initial_values={
                h2.settings.SettingCodes.ENABLE_PUSH: 0,
                h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: settings.read_ahead,
                h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: settings.max_head,
            },
        )
        self._h2.decoder.max_header_list_size = settings.max_head
        self._streams: dict[int, UpstreamStream] = {}
        self._writable = asyncio.Event()
        self._writable.set()
        self._leaving = self._closed = False
        self._budget = FrameBudget(asyncio.get_running_loop().time(), _BURST, _EACH_SECOND)
        self._unread = 0
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.used = False
        self.since = 0.0

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(self._read_ahead)
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_FULL_WINDOWS * self._read_ahead)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        for stream in list(self._streams.values()):
            stale = self.used and not stream.began and stream.number > 1
            kind = FaultKind.STALE if stale else FaultKind.BROKEN
            stream.fail(UpstreamFault(kind, "the connection ended"))
        self._not_greeted("the connection ended before the upstream's settings")
        self._writable.set()
        self._gone(self)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._unread = 0
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        try:
            for event in self._h2.receive_data(data):
                self._handle(event)
        except h2.exceptions.ProtocolError as error:
            self._flush()  # h2 has written why
            self._break_off(f"the upstream broke the rules of HTTP/2: {str(error)[:200]}")
        except UpstreamFault as fault:
            self._h2.close_connection(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
            self._flush()
            self._break_off(str(fault))
        else:
            self._flush()

    def _handle(self, event: h2.events.Event) -> None:
        self._spend(event)
        stream = self._streams.get(getattr(event, "stream_id", None) or 0)
        if isinstance(event, h2.events.RemoteSettingsChanged):
            if not self.greeted.done():
                self.greeted.set_result(None)
            self._widen()
        elif isinstance(event, h2.events.WindowUpdated):
            if stream is None:
                self._widen()
            else:
                stream.widen()
        elif isinstance(event, h2.events.DataReceived):
            octets, size = event.data or b"", event.flow_controlled_length or 0
            if stream is None:
                self.acknowledge(event.stream_id or 0, size)
            else:
                stream.feed(octets, size)
        elif isinstance(event, h2.events.ConnectionTerminated):
            self._leave(event.last_stream_id or 0)
        elif stream is not None:
            try:
                _pass_on(event, stream)
            except UpstreamFault as fault:
                stream.fail(fault)  # and no other one

    def _spend(self, event: h2.events.Event) -> None:
        """Counts what costs the upstream little. Raises UpstreamFault when it does not end, or when the upstream makes
        this side answer and reads none of the answers."""
        empty = isinstance(event, h2.events.DataReceived) and not (event.data or event.stream_ended)
        if not (empty or isinstance(event, _CHEAP)):
            return
        if not self._writable.is_set():
            self._unread += 1
        if self._unread > _MOST_UNREAD or not self._budget.spend(asyncio.get_running_loop().time()):
            raise UpstreamFault(FaultKind.BROKEN, "the upstream sends frames without use, and does not stop")

    def _widen(self) -> None:
        for waiting in self._streams.values():
            waiting.widen()

    def _leave(self, last: int) -> None:
        """Takes no more requests; the upstream has not looked at those after `last` (RFC 9113, 6.8)."""
        self._leaving = True
        for stream in [one for one in self._streams.values() if one.number > last]:
            kind = FaultKind.BROKEN if stream.began else FaultKind.UNPROCESSED
            stream.fail(UpstreamFault(kind, "the upstream takes no more requests on this connection"))
        self._close_when_idle()

    def _break_off(self, why: str) -> None:
        for stream in list(self._streams.values()):
            stream.fail(UpstreamFault(FaultKind.BROKEN, why))
        self._not_greeted(why)
        self.transport.close()

    def _not_greeted(self, why: str) -> None:
        if not self.greeted.done():
            self.greeted.set_exception(UpstreamFault(FaultKind.NOT_SENT, why))
            self.greeted.exception()  # it may be that nobody waits any more

    # Called by the pool.

    @property
    def alive(self) -> bool:
        """Whether the connection takes requests, as far as this process knows."""
        return not (self._closed or self._leaving or self.transport.is_closing())

    @property
    def has_room(self) -> bool:
        """Whether another request may begin now."""
        most = min(MOST_STREAMS, self._h2.remote_settings.max_concurrent_streams)
        return self.alive and len(self._streams) < most

    @property
    def idle(self) -> bool:
        """Whether no request is under way."""
        return not self._streams

    def close(self) -> None:
        """Takes no more requests, and ends when those under way have ended."""
        self._leaving = True
        self._close_when_idle()

    def _close_when_idle(self) -> None:
        if self.idle and not self._closed:
            self.transport.close()

    # Called by exchanges and streams.

    def begin(self, fields: Headers, *, last: bool) -> UpstreamStream:
        """Begins a request with its head; `last` says that it has no body. Raises UpstreamFault NOT_SENT."""
        try:
            number = self._h2.get_next_available_stream_id()
            self._h2.send_headers(number, fields, end_stream=last)
        except h2.exceptions.ProtocolError as error:  # such as when all numbers are used up
            self._leaving = True
            self._close_when_idle()
            raise UpstreamFault(FaultKind.NOT_SENT, f"no request can begin: {error}") from error
        stream = self._streams[number] = UpstreamStream(number, self)
        stream.sent = last
        self.used = True
        self._flush()
        return stream

    def acknowledge(self, stream: int, octets: int) -> None:
        """Gives the upstream room for so many octets more."""
        if octets and not self._closed:
            self._h2.acknowledge_received_data(octets, stream)
            self._flush()

    def send_part(self, stream: int, octets: bytes, *, last: bool) -> None:
        """Sends a part of a body."""
        self._budget.earn(_WINDOWS)
        self._h2.send_data(stream, octets, end_stream=last)
        self._flush()

    def room(self, stream: int) -> int:
        """Returns how many octets of a body may be sent now."""
        return min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)

    async def flushed(self) -> None:
        """Waits until the socket takes more."""
        if not self._writable.is_set():
            await self._writable.wait()

    def leave(self, stream: int) -> None:
        """Ends a stream; the upstream is told if either side is not through."""
        ended = self._streams.pop(stream, None)
        self.since = asyncio.get_running_loop().time()
        if ended is not None and not (ended.complete and ended.sent) and not self._closed:
            with suppress(h2.exceptions.ProtocolError):  # the upstream may have ended it already
                self._h2.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
            self._flush()
        if self._leaving:
            self._close_when_idle()

    def _flush(self) -> None:
        octets = self._h2.data_to_send()
        if octets and not self.transport.is_closing():
            self.transport.write(octets)


def _pass_on(event: h2.events.Event, stream: UpstreamStream) -> None:
    """Hands a stream what came for it."""
    if isinstance(event, h2.events.InformationalResponseReceived):
        if (status := status_of(event.headers)) == _SWITCHING:
            raise UpstreamFault(FaultKind.BROKEN, "another protocol that nobody has asked for")
        stream.interim(status)
    elif isinstance(event, h2.events.ResponseReceived):
        stream.answered(status_of(event.headers), sound(event.headers))
    elif isinstance(event, h2.events.TrailersReceived):
        stream.trailers += sound(event.headers)
    elif isinstance(event, h2.events.StreamEnded):
        stream.end()
    elif isinstance(event, h2.events.StreamReset):
        undone = event.error_code in _NOT_DONE and not stream.began
        kind = FaultKind.UNPROCESSED if undone else FaultKind.BROKEN
        stream.fail(UpstreamFault(kind, f"the upstream has reset the stream: {event.error_code!r}"))
