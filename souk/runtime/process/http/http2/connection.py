"""One connection of HTTP/2, over h2, which reads and writes the frames and holds their rules.

It begins with the preface, which the HTTP/1.1 protocol finds at the start of a connection: over TLS by agreement
(ALPN), without TLS by prior knowledge (RFC 9113, 3.3). Time limits are those of HTTP/1.1; see HttpLimits.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any

import h2.config
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from hyperframe.frame import GoAwayFrame

from souk.gateway.http.problem import Problem
from souk.http2.budget import FrameBudget
from souk.http2.frames import LastingH2Connection
from souk.runtime.process.http.connections import HttpServerState
from souk.runtime.process.http.gathering import Gathering
from souk.runtime.process.http.http2.budget import MOST_STREAMS, WINDOW
from souk.runtime.process.http.http2.request_head import refusing, scope_of
from souk.runtime.process.http.http2.stream import Http2Stream
from souk.runtime.process.http.limits import MOST_HEAD
from souk.telemetry.logs import logger

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_CHEAP = (
    h2.events.StreamReset,
    h2.events.PingReceived,
    h2.events.RemoteSettingsChanged,
    h2.events.PriorityUpdated,
    h2.events.UnknownFrameReceived,
)

_log = logger("http")


class Http2Connection(asyncio.Protocol):
    """Serves an ASGI application over one connection. `common` is what the scopes of all its requests have.

    `gone` is called when the connection is lost.
    """

    def __init__(
        self,
        application: Any,
        state: HttpServerState,
        transport: Gathering,
        common: dict[str, Any],
        gone: Callable[[], None],
    ) -> None:
        self._application, self._state, self._transport, self._gone = application, state, transport, gone
        self._common = {
            **common,
            "http_version": "2",
            "extensions": {"http.response.trailers": {}, **common["extensions"]},
        }
        self._loop = asyncio.get_running_loop()
        self._h2 = LastingH2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None, logger=None))
        self._h2.local_settings = h2.settings.Settings(
            client=False,
            initial_values={
                h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: MOST_STREAMS,
                h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: MOST_HEAD,
                h2.settings.SettingCodes.ENABLE_PUSH: 0,
            },
        )
        self._h2.decoder.max_header_list_size = MOST_HEAD
        self._streams: dict[int, Http2Stream] = {}
        self._last = 0
        self._since = self._loop.time()
        self._asked = self._leaving = False
        self._budget = FrameBudget(self._since)
        self._writable = asyncio.Event()
        self._writable.set()
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(WINDOW - 65_535)
        self._flush()

    # Called by the transport.

    def connection_lost(self, exc: Exception | None) -> None:
        """Lets every running request know that its client is gone."""
        self._state.connections.discard(self)
        self._gone()
        self._writable.set()
        self._break_off()

    def pause_writing(self) -> None:
        """Makes responses wait: the socket takes no more for now."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Lets responses go on."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Reads frames."""
        if self._transport.is_closing():
            self._transport.discard(len(data))
            return
        try:
            events = self._h2.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            self._fail(error)
            return
        for event in events:
            if not self._handle(event):
                return
        self._flush()

    def _handle(self, event: h2.events.Event) -> bool:
        now = self._loop.time()
        if isinstance(event, _CHEAP) and not self._budget.spend(now):
            self._end(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
            return False
        stream = self._streams.get(getattr(event, "stream_id", None) or 0)
        if isinstance(event, h2.events.RequestReceived):
            self._start(event)
        elif isinstance(event, h2.events.DataReceived):
            return self._take(event, stream, now)
        elif isinstance(event, h2.events.StreamEnded) and stream is not None:
            stream.complete()
        elif isinstance(event, h2.events.StreamReset) and stream is not None:
            stream.leave()
        elif isinstance(event, h2.events.WindowUpdated | h2.events.RemoteSettingsChanged):
            for waiting in [stream] if stream is not None else self._streams.values():
                waiting.widen()
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.answer_and_close()
        return True

    def _take(self, event: h2.events.DataReceived, stream: Http2Stream | None, now: float) -> bool:
        octets, size = event.data or b"", event.flow_controlled_length or 0
        if not octets and event.stream_ended is None and not self._budget.spend(now):
            self._end(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
            return False
        if stream is not None:
            stream.feed(octets, size)
        else:
            self.acknowledge(event.stream_id or 0, size)
        return True

    def _start(self, event: h2.events.RequestReceived) -> None:
        number = event.stream_id or 0
        if self._leaving or len(self._streams) >= MOST_STREAMS:
            self._reset(number, h2.errors.ErrorCodes.REFUSED_STREAM)
            return
        self._asked, self._last = True, number
        whole = event.stream_ended is not None
        found = scope_of(event.headers or (), self._common, whole=whole)
        application = self._application
        if isinstance(found, Problem):
            application, found = refusing(found), dict(self._common)
        stream = Http2Stream(number, found, self, whole=whole)
        self._streams[number] = stream
        task = self._loop.create_task(self._run(application, stream), context=Context())
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)

    async def _run(self, application: Any, stream: Http2Stream) -> None:
        try:
            await application(stream.scope, stream.receive, stream.send)
        except Exception:
            _log.exception("an application failed", path=stream.scope.get("path"))
        finally:
            self._close(stream)

    def _close(self, stream: Http2Stream) -> None:
        """Ends a stream whose application has returned; one that is not answered in full is reset."""
        del self._streams[stream.number]
        self._since = self._loop.time()
        self._state.total_requests += 1
        if self._transport.is_closing():
            return
        answered, unread = stream.finished, stream.refuse_body()
        self.acknowledge(stream.number, unread)
        if not stream.gone and (not answered or not stream.whole):
            code = h2.errors.ErrorCodes.NO_ERROR if answered else h2.errors.ErrorCodes.INTERNAL_ERROR
            self._reset(stream.number, code)
        if self._leaving and not self._streams:
            self._transport.close()
        elif self._state.draining:
            self.answer_and_close()

    # Called by the streams.

    def acknowledge(self, stream: int, octets: int) -> None:
        """Gives the client room for so many octets more."""
        if octets and not self._transport.is_closing():
            self._h2.acknowledge_received_data(octets, stream)
            self._flush()

    def send_head(self, stream: int, fields: list[tuple[bytes, bytes]], *, last: bool) -> None:
        """Sends the head or the trailers."""
        if not last:
            fields = [*fields, *self._state.default_headers]
        self._h2.send_headers(stream, fields, end_stream=last)
        self._flush()

    def send_part(self, stream: int, octets: bytes, *, last: bool) -> None:
        """Sends a part of a body."""
        self._h2.send_data(stream, octets, end_stream=last)
        self._flush()

    def room(self, stream: int) -> int:
        """Returns how many octets of a body may be sent now."""
        return min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)

    async def flushed(self) -> None:
        """Waits until the socket takes more."""
        if not self._writable.is_set():
            await self._writable.wait()

    def break_off(self, stream: int) -> None:
        """Ends a stream as one that failed."""
        self._reset(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)

    # Ends of a connection.

    def check(self, now: float) -> None:
        """Ends what is too slow: the connection, or one of its requests."""
        limits = self._state.limits
        if self._transport.is_stuck(now, limits):
            self._transport.drop()
        elif not self._streams:
            if now - self._since > (limits.idle if self._asked else limits.first_octet):
                self._end(h2.errors.ErrorCodes.NO_ERROR)
        else:
            for stream in list(self._streams.values()):
                if stream.is_slow(now, limits):
                    stream.leave()
                    self._reset(stream.number, h2.errors.ErrorCodes.CANCEL)
            self._flush()

    def answer_and_close(self) -> None:
        """Takes no more requests, and closes the connection once those under way are answered."""
        if self._leaving:
            return
        self._leaving = True
        self._say_goodbye(h2.errors.ErrorCodes.NO_ERROR, self._last if self._asked else 0)
        if not self._streams:
            self._transport.close()

    def shutdown(self) -> None:
        """As uvicorn asks at its end: as `answer_and_close`."""
        self.answer_and_close()

    def _reset(self, stream: int, code: h2.errors.ErrorCodes) -> None:
        try:
            self._h2.reset_stream(stream, code)
        except (h2.exceptions.StreamClosedError, h2.exceptions.ProtocolError):
            return  # both sides have ended it already
        self._flush()

    def _fail(self, error: h2.exceptions.ProtocolError) -> None:
        _log.info("a connection broke the rules of HTTP/2", error=str(error)[:200])
        self._flush()  # h2 has written why
        self._break_off()

    def _end(self, code: h2.errors.ErrorCodes) -> None:
        self._leaving = True
        self._say_goodbye(code, self._last)
        self._break_off()

    def _break_off(self) -> None:
        for stream in self._streams.values():
            stream.leave()
        self._transport.close()

    def _say_goodbye(self, code: h2.errors.ErrorCodes, last: int) -> None:
        # Not by h2, which would then refuse to write the responses that are under way.
        self._flush()
        self._transport.write(GoAwayFrame(0, last_stream_id=last, error_code=int(code)).serialize())

    def _flush(self) -> None:
        octets = self._h2.data_to_send()
        if octets:
            self._transport.write(octets)
